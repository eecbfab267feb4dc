"""A table of exams: clinical values and the tumor's side come from checked tables."""

import csv
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from mammo.errors import UserError
from mammo.fusion.clinical import ClinicalError
from mammo.inference.answers import answer_table
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
        images: str = IMAGES, clinical: str | None = CLINICAL, *, allow: bool = False
    ) -> dict[str, dict[str, str]]:
        (tmp_path / 'images.csv').write_text(images.format(*paths))
        (tmp_path / 'clinical.csv').write_text(clinical or '')
        out = tmp_path / 'out'
        table = tmp_path / 'clinical.csv' if clinical else None
        args = Namespace(batch=tmp_path / 'images.csv', clinical_table=table, out_dir=out)
        args = Namespace(**vars(args), cropped_png=None, allow_unmatched=allow)
        answer_table(args, predictor)
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
        (IMAGES.replace('{1},P1,L', '{1},P1,middle'), 'BAD_SIDE', "tumor_side is 'middle', expected L, R"),
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
