"""A Predictor says what the trained members say."""

import doctest
import hashlib
import importlib
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.dataset import Compose

from mammo.errors import UserError
from mammo.fusion.clinical import check_table
from mammo.fusion.model import predict as fusion_predict
from mammo.inference.bundle.decisions import FUSED, PATTERNS, Decisions
from mammo.inference.bundle.folder import write_bundle
from mammo.inference.exam.reading import read_exam
from mammo.inference.making import bundle_files
from mammo.inference.prediction import NOTICE, explained, score_of
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import ExamError
from tests.mammo.inference.conftest import CELL, FUSED_CELL, PIPELINE

CLINICAL = dict(age=54, er='positive', histology='lobular')


@pytest.fixture(scope='module')
def answer(predictor: Predictor, exam: list[Path]) -> Any:
    return predictor.predict(exam, CLINICAL)


@pytest.fixture(scope='module')
def expected(toy: Any, answer: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What the test pipeline and the members make of the images as PNG, (images, members, tasks)."""
    folder = tmp_path_factory.mktemp('crops')
    samples = []
    for i, (image, _) in enumerate(answer.shown):
        cv2.imwrite(str(folder / f'{i}.png'), image.pixels)
        samples.append(Compose(PIPELINE)(dict(img_path=str(folder / f'{i}.png'), gt_label={})))
    found: dict[str, list] = dict(logit=[], pred_score=[])
    for model in toy.models:
        batch = dict(
            inputs=[s['inputs'] for s in samples], data_samples=[s['data_samples'].clone() for s in samples]
        )
        with torch.no_grad():
            scored = model.test_step(batch)
        for key, values in found.items():
            values.append([[float(getattr(s.get(t), key)) for t in ('N', 'LVI', 'size')] for s in scored])
    return {key: np.array(values).transpose(1, 0, 2) for key, values in found.items()}


def test_example_of_the_docstring_holds(toy: Any, exam: list[Path]) -> None:
    (example,) = doctest.DocTestFinder().find(Predictor, 'Predictor', globs=dict(
        Predictor=Predictor, bundle=toy.folder, exam=exam), module=False)[:1]  # fmt: skip
    assert len(example.examples) == 7
    assert doctest.DocTestRunner().run(example).failed == 0


def test_every_member_gives_each_image_what_it_gave_in_training(answer: Any, expected: dict) -> None:
    logits = np.stack([seen.logits for _, seen in answer.shown])
    np.testing.assert_allclose(logits, expected['logit'], atol=1e-5)
    assert expected['logit'].std(axis=0).min() > 0.1  # the images do differ
    for i, image in enumerate(answer.images):
        *probs, size = image['pred_score'].values()
        means = expected['pred_score'][i].mean(axis=0)
        assert probs == pytest.approx(means[:2], abs=1e-6)
        assert size == pytest.approx(means[2], abs=1e-5)


def test_a_patient_is_the_max_over_images_of_the_mean_over_members(answer: Any, expected: dict) -> None:
    scores = expected['pred_score']
    for i, task in enumerate(('N', 'LVI')):
        best = scores[:, :, i].mean(axis=1).argmax()
        found = answer.tasks[task]
        assert found.value == pytest.approx(scores[best, :, i].mean(), abs=1e-6)
        assert found.members == pytest.approx(scores[best, :, i], abs=1e-6)
        assert found.sd == pytest.approx(scores[best, :, i].std(ddof=1), abs=1e-6)
        assert found.low <= found.value <= found.high
    assert answer.tasks['size'].value == pytest.approx(scores[:, :, 2].mean(), rel=1e-6, abs=1e-6)


def test_only_images_of_the_tumor_side_decide(predictor: Predictor, exam: list[Path], expected: dict) -> None:
    for side, rows in dict(L=slice(0, 2), R=slice(2, 4)).items():
        found = predictor.predict(exam, tumor_side=side)
        scores = expected['pred_score'][rows]
        assert found.tasks['N'].value == pytest.approx(scores[:, :, 0].mean(axis=1).max(), abs=1e-6)
        assert found.tasks['size'].value == pytest.approx(scores[:, :, 2].mean(), rel=1e-6, abs=1e-6)
        assert [i['laterality'] == side for i in found.images] == [i['used'] for i in found.images]


@pytest.mark.parametrize('clinical', [CLINICAL, dict(age=54), dict(er='negative', age='unknown')])
def test_fusion_is_mlp_of_the_encoded_values_the_raw_outputs_and_what_is_missing(
    predictor: Predictor, toy: Any, exam: list[Path], expected: dict, clinical: dict
) -> None:
    found = predictor.predict(exam, clinical, tumor_side='R')
    cells = {'patient_id': 'p', 'age': '', 'ER status': '', 'histology': ''}
    cells |= {{'er': 'ER status'}.get(k, k): '' if v == 'unknown' else str(v) for k, v in clinical.items()}
    probs = []
    for i, (encoder, checkpoint) in enumerate(zip(toy.encoders, toy.checkpoints, strict=True)):
        values = check_table(pd.DataFrame([cells]), encoder.schema)
        features = expected['logit'][2:, i].mean(axis=0)
        mask = [*values.isna().to_numpy()[0], 0]
        x = np.hstack([encoder.transform(values)[0], features, mask]).astype(np.float32)
        probs.append(1 / (1 + np.exp(-fusion_predict(checkpoint, x[None])[0])))
    assert found.fused is not None
    assert found.fused.members == pytest.approx(probs, abs=1e-6)
    assert found.fused.value == pytest.approx(np.mean(probs), abs=1e-6)
    known = {k for k, v in clinical.items() if v != 'unknown'}
    assert found.missing == [v for v in ('age', 'er', 'histology') if v not in known]
    assert found.main is found.fused


@pytest.mark.parametrize('clinical', [None, {}, dict(age='', er=None, histology='Unknown')])
def test_an_empty_form_is_answered_from_the_images(predictor: Predictor, exam: list, clinical: Any) -> None:
    found = predictor.predict(exam, clinical)
    assert found.fused is None
    assert found.main is found.tasks['N']
    assert found.missing == ['age', 'er', 'histology']
    assert 'no clinical value: answered from the images alone' in found.warnings


@pytest.mark.parametrize(
    ('clinical', 'reason', 'message'),
    [
        (dict(age=541), 'CLINICAL_VALUE', "age is '541', expected a number from 18 to 110 years, or unknown"),
        (dict(age='old'), 'CLINICAL_VALUE', "age is 'old'"),
        (dict(age='nan'), 'CLINICAL_VALUE', "age is 'nan'"),
        (dict(er='maybe'), 'CLINICAL_VALUE', 'expected one of negative, positive, or unknown'),
        (dict(age=5, er=7), 'CLINICAL_VALUE', "age is '5'.*; er is '7'"),
        (dict(grade=2), 'CLINICAL_NAME', 'no clinical variable grade; there are age, er, histology'),
        ({'er': 'positive', 'ER status': 'negative'}, 'CLINICAL_NAME', 'given twice'),
    ],
)
def test_clinical_values_that_cannot_be_are_refused(
    predictor: Predictor, clinical: dict, reason: str, message: str
) -> None:
    with pytest.raises(ExamError, match=message) as caught:
        predictor.predict(['no file is read.dcm'], clinical)
    assert caught.value.reason == reason


def test_names_of_columns_and_any_case_are_understood(predictor: Predictor, exam: list, answer: Any) -> None:
    found = predictor.predict(exam, {'AGE': '54.0', 'ER status': 'positive', 'Histology': 'lobular'})
    assert found.fused.value == answer.fused.value


def test_decisions_are_those_of_the_stored_threshold(answer: Any, exam: list, predictor: Predictor) -> None:
    assert answer.fused.decision['positive'] == (answer.fused.value >= 0.4)
    assert answer.tasks['LVI'].decision is None
    score = answer.tasks['N']
    z = np.log(score.value / (1 - score.value))
    assert score.recalibrated == pytest.approx(1 / (1 + np.exp(-(0.1 + 0.5 * z))))
    text = explained(answer.main.decision)
    assert 'threshold 0.4, chosen for a sensitivity of 90%, on made-up data' in text


def test_json_holds_everything_but_pixels(answer: Any) -> None:
    content = json.loads(answer.to_json())
    assert content['notice'] == NOTICE
    assert content['fused']['members'] == answer.fused.members
    assert [i['view'] for i in content['images']] == ['CC', 'MLO', 'CC', 'MLO']
    assert 'P0001' not in answer.to_json()
    assert len(answer.to_json()) < 10_000


def test_overlays_are_pictures_by_view_with_attention_over_what_the_network_saw(answer: Any) -> None:
    pictures = answer.overlays()
    assert set(pictures) == {'L_CC', 'L_MLO', 'R_CC', 'R_MLO'}
    for (image, _), png, maps in zip(
        answer.shown, pictures.values(), answer.attention().values(), strict=True
    ):
        drawn = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        height, width = maps.shape
        assert drawn.shape[0] == height == image.pixels.shape[0]
        assert drawn.shape[1] > width == image.pixels.shape[1]  # the color bar is beside it
        assert np.ptp(drawn[:, :width].astype(int), axis=2).max() > 20  # colour
        assert np.isnan(maps[0]).all()  # cut off by CenterCrop
        assert not np.isnan(maps[len(maps) // 2]).all()


def test_two_images_of_one_view_get_two_overlays(predictor: Predictor, films: Callable[..., Path]) -> None:
    found = predictor.predict([films(), films(SOPInstanceUID='1.2.3')])
    assert set(found.overlays()) == {'L_CC', 'L_CC_2'}


def test_summary_is_readable(answer: Any) -> None:
    text = answer.summary()
    assert text.startswith('For research use only')
    assert 'from images and clinical values' in text
    assert 'N, with clinical values' in text
    assert '4 models: ' in text


def test_schema_tasks_and_card_are_there_for_a_form(predictor: Predictor) -> None:
    assert predictor.tasks == dict(N='binary', LVI='binary', size='regression')
    age, er, _ = predictor.schema
    assert (age['name'], age['unit'], age['range']) == ('age', 'years', (18, 110))
    assert (er['column'], er['levels']) == ('ER status', ('negative', 'positive'))
    assert predictor.card.startswith('# Model card')


def timeless(answer: Any) -> str:
    content = answer.to_dict()
    del content['inputs']['time']
    return json.dumps(content)


def test_threads_get_their_own_answers(predictor: Predictor, films: Callable[..., Path]) -> None:
    exams = [[films(i, 'L', view) for view in ('CC', 'MLO')] for i in range(3)] * 2
    alone = [timeless(predictor.predict(files, CLINICAL)) for files in exams]
    with ThreadPoolExecutor(4) as pool:
        together = [timeless(a) for a in pool.map(lambda files: predictor.predict(files, CLINICAL), exams)]
    assert together == alone
    assert len(set(alone)) == 3


def test_wrong_sides_and_devices_are_refused(predictor: Predictor, toy: Any, exam: list, films: Any) -> None:
    with pytest.raises(ExamError, match="tumor side is 'X', expected L, R or nothing"):
        predictor.predict(exam, tumor_side='X')
    with pytest.raises(ExamError, match='no image shows the right breast'):
        predictor.predict([films()], tumor_side='R')
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match='torch finds no GPU'):
            Predictor.load(toy.folder, 'cuda')


def test_one_member_without_fusion_thresholds_or_preprocessing(toy: Any, png: Path, tmp_path: Path) -> None:
    one = dict(list(toy.trained.members.items())[:1])
    trained = toy.trained._replace(members=one, fusions=[], decisions={})
    write_bundle(tmp_path / 'one', bundle_files(trained, None))
    predictor = Predictor.load(tmp_path / 'one', 'cpu')
    found = predictor.predict(png)  # as it is, since nothing is known of the preprocessing
    assert found.shown[0][0].pixels.shape == (240, 160)
    assert (found.main.sd, found.main.decision, found.fused) == (None, None, None)
    assert predictor.schema == []
    assert 'unknown: no report was given' in predictor.card
    assert 'this bundle does not know how good an answer to such an input is' in found.warnings
    with pytest.raises(ExamError, match='takes no clinical values'):
        predictor.predict(png, dict(age=50))


def test_progress_is_told(predictor: Predictor, exam: list[Path]) -> None:
    told: list[tuple[int, int]] = []
    predictor.predict(exam[:2], progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]


def test_a_level_called_unknown_is_a_value(predictor: Predictor) -> None:
    fusion = copy(predictor.fusion)
    histology = replace(fusion.schema.variables[2], levels=('ductal', 'lobular', 'unknown'))
    fusion.schema = replace(fusion.schema, variables=(*fusion.schema.variables[:2], histology))
    assert fusion.check(dict(histology='unknown'))['histology'].item() == 2
    assert np.isnan(fusion.check(dict(age='unknown'))['age'].item())


def decided(predictor: Predictor, of: str = FUSED, **cells: Any) -> Predictor:
    """The same predictor with other cells of the fused model, by number or by pattern."""
    other = copy(predictor)
    content = copy(predictor.decisions.content)
    content[of] = {**content.get(of, {}), **cells}
    other.decisions = Decisions(content)
    return other


def test_cell_of_the_number_of_known_values_and_of_the_side_decides(predictor: Predictor, exam: list) -> None:
    cells = [{**CELL, 'threshold': 0.1 * i, 'n_patients': 100 + i} for i in range(4)]
    other = decided(predictor, known=cells, unknown=[{**c, 'threshold': c['threshold'] + 0.5} for c in cells])
    for n, clinical in enumerate([dict(age=54), dict(age=54, er='positive'), CLINICAL], start=1):
        for side, more in (('L', 0), (None, 0.5)):
            answer = other.predict(exam, clinical, tumor_side=side)
            threshold = 0.1 * len([v for v in clinical.values() if v]) + more
            assert answer.main.decision['threshold'] == pytest.approx(threshold), n
            said = f'of {100 + len(clinical)} patients with such an input, 12 of them positive: few'
            assert said in ' '.join(answer.warnings)


def test_cell_of_the_set_of_known_values_comes_first(predictor: Predictor, exam: list) -> None:
    by_pattern = [{**CELL, 'threshold': 0.1 + 0.1 * i} for i in range(8)]  # bits: age, er, histology
    other = decided(predictor, PATTERNS, known=by_pattern)
    for clinical, i in ((dict(age=54), 1), (dict(er='positive'), 2), (dict(histology='other', age=54), 5)):
        answer = other.predict(exam, clinical, tumor_side='L')
        assert answer.main.decision['threshold'] == pytest.approx(0.1 + 0.1 * i)


def test_answer_is_that_of_the_images_where_fusing_is_no_better(predictor: Predictor, exam: list) -> None:
    other = decided(predictor, known=[{**FUSED_CELL, 'better': n == 3} for n in range(4)])
    few = other.predict(exam, dict(age=54), tumor_side='L')
    assert few.main is few.tasks['N']
    assert few.model == 'mammograms'
    assert any('1 of 3 clinical values the images alone did as well' in w for w in few.warnings)
    assert any(w.startswith('with 1 of 3') for w in json.loads(few.to_json())['warnings'])


def test_unknown_side_is_said(predictor: Predictor, exam: list) -> None:
    text = 'the side of the tumor is not given: the images of both breasts were used'
    assert text in predictor.predict(exam).warnings
    assert text not in predictor.predict(exam, tumor_side='L').warnings


def test_site_recalibration_comes_last_and_has_its_own_threshold(predictor: Predictor, exam: list) -> None:
    other = copy(predictor)
    platt = dict(kind='platt', intercept=1.0, slope=1.0)
    about = dict(name='Clinic', method='intercept', n_patients=30, n_events=10)
    site = dict(recalibration=platt, threshold=0.7, **about)
    other.decisions = Decisions({**predictor.decisions.content, 'site': site})
    before, after = (p.predict(exam, tumor_side='L').main for p in (predictor, other))
    assert np.log(after.lead / (1 - after.lead)) == pytest.approx(np.log(before.lead / (1 - before.lead)) + 1)
    assert after.decision['threshold'] == 0.7


def test_answer_records_what_it_is_for(predictor: Predictor, exam: list) -> None:
    inputs = predictor.predict(exam, dict(age='54', er=''), tumor_side='R').to_dict()['inputs']
    assert inputs['clinical'] == dict(age='54')
    assert (inputs['tumor_side'], inputs['cropped_png']) == ('R', False)
    files = [dict(file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest()) for path in exam]
    assert inputs['files'] == files
    assert datetime.now(UTC) - datetime.fromisoformat(inputs['time']) < timedelta(minutes=5)


def test_two_files_of_one_name_are_both_recorded(
    predictor: Predictor, films: Callable[..., Path], tmp_path: Path
) -> None:
    paths = [tmp_path / view / 'a.dcm' for view in ('CC', 'MLO')]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(films(view=path.parent.name).read_bytes())
    files = predictor.predict(paths).inputs['files']
    assert [f['file'] for f in files] == ['a.dcm', 'a.dcm']
    assert len({f['sha256'] for f in files}) == 2


def test_value_of_a_regression_task_is_shown_in_its_unit() -> None:
    score = replace(score_of('regression', np.array([0.3, 0.42])), unit='mm', scale=50.0)
    assert score.lead == pytest.approx(18)


def test_predictor_can_be_pickled_and_copied_and_answers_the_same(predictor: Predictor, exam: list) -> None:
    expected = timeless(predictor.predict(exam, CLINICAL))
    for other in (pickle.loads(pickle.dumps(predictor)), deepcopy(predictor)):
        assert timeless(other.predict(exam, CLINICAL)) == expected
        assert other.network.ensemble.num_backbones == predictor.network.ensemble.num_backbones


def test_predictor_is_found_in_the_package() -> None:
    assert importlib.import_module('mammo.inference').Predictor is Predictor


@pytest.mark.parametrize(('ages', 'is_said'), [((61.0, 54.2), True), ((54.9,), False), ((), False)])
def test_an_age_that_is_not_that_of_the_headers_is_said(
    predictor: Predictor, exam: list[Path], monkeypatch: pytest.MonkeyPatch, ages: tuple, is_said: bool
) -> None:
    monkeypatch.setattr(
        'mammo.inference.predictor.read_exam', lambda *a, **k: read_exam(*a, **k)._replace(ages=ages)
    )
    warning = 'the age that was given is not the one in the header of the images'
    assert (warning in predictor.predict(exam, dict(age=54)).warnings) == is_said
    assert warning not in predictor.predict(exam).warnings
