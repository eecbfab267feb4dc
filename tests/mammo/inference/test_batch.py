"""A table of exams: clinical values and the tumor's side come from checked tables."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mammo.errors import UserError
from mammo.fusion.schema import ClinicalError
from mammo.inference.batch import BatchSummary, answer_table
from mammo.inference.predictor import Predictor

CLINICAL = 'patient_id,age,ER status,histology\nP1,54,positive,lobular\nP2,60,negative,\n'
IMAGES = 'dicom_path,patient_id,tumor_side\n{0},P1,L\n{1},P1,L\n{2},P2,\n'


@pytest.fixture
def paths(films: Callable[..., Path]) -> list[Path]:
    """Two views of a first patient, one of a second."""
    one = [films(0, 'L', view, PatientID='P1') for view in ('CC', 'MLO')]
    return [*one, films(1, 'R', 'CC', PatientID='P2')]


@pytest.fixture
def answer(
    tmp_path: Path, predictor: Predictor, paths: list[Path]
) -> Callable[..., dict[str, dict[str, str]]]:
    """Tables as text -> rows of predictions.csv by patient."""

    def run(
        images: str = IMAGES, clinical: str | None = CLINICAL, *, allow: bool = False, **options: Any
    ) -> dict[str, dict[str, str]]:
        (tmp_path / 'images.csv').write_text(images.format(*paths))
        (tmp_path / 'clinical.csv').write_text(clinical or '')
        out = tmp_path / 'out'
        table = tmp_path / 'clinical.csv' if clinical else None
        options.setdefault('fresh', (out / '.journal.jsonl').exists() and not options.get('resume'))
        images_csv = tmp_path / 'images.csv'
        answer_table(predictor, images_csv, out, clinical_table=table, allow_unmatched=allow, **options)
        return {row['patient_id']: row for row in csv.DictReader((out / 'predictions.csv').open())}

    return run


def test_each_patient_gets_the_answer_that_she_gets_alone(
    answer: Callable, predictor: Predictor, paths: list[Path]
) -> None:
    rows = answer()
    one = predictor.predict(paths[:2], dict(age=54, er='positive', histology='lobular'), tumor_side='L')
    two = predictor.predict(paths[2:], dict(age=60, er='negative'))
    assert [float(rows[p]['N_fused']) for p in ('P1', 'P2')] == [one.main.value, two.main.value]
    assert [rows[p]['missing'] for p in ('P1', 'P2')] == ['', 'histology']


def test_without_a_clinical_table_all_variables_are_named_as_missing(answer: Callable) -> None:
    assert answer(clinical=None)['P1']['missing'] == 'age, er, histology'


def test_columns_of_the_table_of_images_count_too(answer: Callable) -> None:
    images = 'dicom_path,patient_id,age\n{0},P1,54\n{1},P1,54.0\n{2},P2,\n'
    table = CLINICAL.replace('P1,54', 'P1,')
    assert answer(images, table)['P1']['N_fused'] == answer(images)['P1']['N_fused']


@pytest.mark.parametrize(
    ('clinical', 'message'),
    [
        (CLINICAL.replace('age', 'agee'), r"columns \['age'\] are absent"),
        (CLINICAL + 'P1,70,negative,ductal\n', r"empty or repeated ids \['P1'\]"),
        (CLINICAL.replace('patient_id', 'id'), r"columns \['patient_id'\] are absent"),
        (CLINICAL.replace('54', '541'), '541'),
    ],
)
def test_a_clinical_table_that_is_wrong_is_refused_as_a_whole(
    answer: Callable, clinical: str, message: str
) -> None:
    with pytest.raises(ClinicalError, match=rf'clinical\.csv: .*{message}'):
        answer(clinical=clinical)


def test_patients_who_match_nothing_are_counted_named_and_refused_if_many(
    answer: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    clinical = CLINICAL.replace('P2', '007')
    with pytest.raises(UserError) as error:
        answer(clinical=clinical)
    assert '1 of 2 rows of clinical.csv match no image: 007;' in str(error.value)
    assert '1 of 2 patients with images match no row of clinical.csv: P2.' in str(error.value)
    rows = answer(clinical=clinical, allow=True)
    assert rows['P2']['missing'] == 'age, er, histology'
    assert '1 of 2 patients with images match no row of clinical.csv: P2' in caplog.text


def test_ids_may_have_spaces_around_them(answer: Callable) -> None:
    assert answer(clinical=CLINICAL.replace('P1,', 'P1 ,'))['P1']['N_fused'] == answer()['P1']['N_fused']


@pytest.mark.parametrize(
    ('images', 'reason', 'message'),
    [
        (IMAGES.replace('{1},P1,L', '{1},P1,R'), 'CONTRADICTION', 'tumor_side is L and R; give one value'),
        (
            IMAGES.replace('{1},P1,L', '{1},P1,middle'),
            'BAD_ROW',
            "row 3: tumor_side is 'middle', expected L or R",
        ),
    ],
)
def test_sides_that_contradict_are_named_and_the_others_answered(
    answer: Callable, images: str, reason: str, message: str
) -> None:
    rows = answer(images)
    assert rows['P1']['reason'] == reason
    assert message in rows['P1']['message']
    assert rows['P2']['reason'] == ''


def test_sides_may_be_words_and_unknown(answer: Callable) -> None:
    words = answer(IMAGES.replace('P1,L', 'P1,left').replace('P2,', 'P2,NA'))
    assert [words[p]['N'] for p in ('P1', 'P2')] == [answer()[p]['N'] for p in ('P1', 'P2')]


# ---- a run that is killed -------------------------------------------------------------------------------


def killed_after(monkeypatch: pytest.MonkeyPatch, n: int) -> list[int]:
    """Predictor.predict ends the run at its call number n + 1, as a kill would -> counts calls."""
    calls, predict = [0], Predictor.predict

    def counted(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] > n:
            raise KeyboardInterrupt
        return predict(*args, **options)

    monkeypatch.setattr(Predictor, 'predict', counted)
    return calls


def content_of(folder: Path) -> dict[str, str | bytes]:
    """Files of an output folder but for the time of each answer."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*') if p.is_file()}
    timed = {k: re.sub(r'"time": "[^"]+"', '', v.decode()) for k, v in files.items() if k.endswith('.json')}
    return {k: timed.get(k, v) for k, v in files.items() if k[0] != '.'}


def test_killed_run_keeps_what_was_done_and_goes_on_to_the_same_files(
    answer: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer()
    expected = content_of(tmp_path / 'out')
    with monkeypatch.context() as patch:
        killed_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            answer(fresh=True)
    table = (tmp_path / 'out/predictions.csv').read_bytes()
    assert table == expected['predictions.csv'][: len(table)]
    assert table.count(b'\n') == 2  # head and P1
    with monkeypatch.context() as patch:
        calls = killed_after(patch, 0)
        with pytest.raises(KeyboardInterrupt):  # a second kill loses nothing either
            answer(resume=True)
        assert (tmp_path / 'out/predictions.csv').read_bytes() == table
    with monkeypatch.context() as patch:
        calls = killed_after(patch, 9)
        answer(resume=True)
        assert calls == [1]  # P1 was not computed again
    assert content_of(tmp_path / 'out') == expected


def test_refused_patients_are_tried_again_and_those_gone_from_the_table_removed(
    answer: Callable, tmp_path: Path
) -> None:
    wrong = IMAGES.replace('{1},P1,L', '{1},P1,R')
    assert answer(wrong)['P1']['reason'] == 'CONTRADICTION'
    rows = answer(resume=True)
    assert list(rows) == ['P1', 'P2']
    assert rows['P1']['reason'] == ''
    one = answer('dicom_path,patient_id,tumor_side\n{2},P2,\n', resume=True, allow=True)
    assert list(one) == ['P2']
    assert {p.name for p in (tmp_path / 'out').iterdir() if p.is_dir()} == {one['P2']['folder']}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(fresh=False), 'holds 6 files of an earlier run; go on with --resume'),
        (dict(resume=True, fresh=False, cropped_png=True), 'cropped_png None -> True'),
        (dict(resume=True, fresh=False, clinical=None), 'clinical_table .* -> None'),
    ],
)
def test_used_folder_and_other_options_are_refused(answer: Callable, options: dict, message: str) -> None:
    answer()
    with pytest.raises(UserError, match=message):
        answer(**options)


def test_another_bundle_is_refused(
    answer: Callable, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer()
    monkeypatch.setattr(predictor, 'bundle_id', 'f' * 64)
    with pytest.raises(UserError, match=r"bundle_id '.*' -> 'ffff"):
        answer(resume=True, fresh=False)


def test_summary_counts_answers_positives_and_refusals_by_code() -> None:
    rows = [dict(reason='', positive=True), dict(reason='', positive=False), dict(reason='', positive='')]
    rows += [dict(reason='DUPLICATE'), dict(reason='UNREADABLE'), dict(reason='DUPLICATE')]
    text = '3 patients answered, 1 of them positive; 3 refused (DUPLICATE 2, UNREADABLE 1)'
    assert str(BatchSummary.of(rows)) == text
    assert str(BatchSummary.of([])) == '0 patients answered, 0 of them positive; 0 refused'


def test_columns_are_found_in_any_case_and_those_without_use_are_named(
    answer: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    table = 'dicom_path,patient_id,tumor_side,AGE,Agee\n{0},P1,L,54,1\n{2},P2,,,1\n'
    row = answer(table, None)['P1']
    assert 'age' not in row['missing']
    assert 'side of the tumor is not given' not in row['notes']
    assert 'columns without use: Agee; there are age' in caplog.text


def test_patients_who_look_alike_are_named(answer: Callable, caplog: pytest.LogCaptureFixture) -> None:
    answer('dicom_path,patient_id\n{0},X1\n{1},x1\n', None)
    assert "'X1' and 'x1'" in caplog.text


def test_an_image_of_another_patient_of_the_table_is_refused(answer: Callable) -> None:
    rows = answer('dicom_path,patient_id\n{0},P1\n{1},P2\n{2},P2\n', None)
    assert (rows['P1']['reason'], rows['P2']['reason']) == ('', 'BAD_ROW')
    assert 'names another patient of the table' in rows['P2']['message']
