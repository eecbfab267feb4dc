"""The ensemble of prediction records against hand-computed means."""

import math

import numpy as np
import pytest

from mammo.evaluation.cohort.ensemble import logit_of_mean_prob, mean_records
from mammo.records.predictions import PredictionError, read_predictions, write_predictions

KINDS = dict(N='binary', size='regression')


def record(name: str, n: float | None, size: float, **extra: object) -> dict:
    prob = 0.5 if n is None else 1 / (1 + math.exp(-n))
    texts = dict(img_path=f'{name}.png', patient_id=name, exam_id='1', view='CC', laterality='L')
    tasks = dict(
        N=dict(logit=n, pred_score=prob, gt_label=1), size=dict(logit=size, pred_score=size, gt_label=None)
    )
    return texts | extra | dict(tasks=tasks)


def test_probs_and_values_are_averaged_image_by_image_whatever_their_order() -> None:
    a = [record('p', 0.0, 1.0, tumor_side='L'), record('q', 2.0, 3.0)]
    b = [record('q', -2.0, 5.0), record('p', math.log(3), 2.0)]
    p, q = mean_records([a, b], KINDS)
    assert p['tasks']['N'] == dict(logit=pytest.approx(math.log(0.625 / 0.375)), pred_score=0.625, gt_label=1)
    assert p['tasks']['size'] == dict(logit=1.5, pred_score=1.5, gt_label=None)
    assert q['tasks']['N']['pred_score'] == pytest.approx(0.5)
    assert q['tasks']['size']['pred_score'] == 4.0
    assert (p['tumor_side'], p['view'], q['patient_id']) == ('L', 'CC', 'q')


def test_one_member_is_itself_and_its_copies_too(tmp_path) -> None:
    records = [record('p', 0.3, 1.0), record('q', -40.0, 2.0)]
    for members in ([records], [records] * 3):
        mean = mean_records(members, KINDS)
        assert [r['tasks']['N']['logit'] for r in mean] == pytest.approx([0.3, -40.0])
    write_predictions(tmp_path / 'a.json', mean)
    assert read_predictions(tmp_path / 'a.json') == mean


def test_the_logit_survives_where_probs_round_to_one() -> None:
    assert logit_of_mean_prob([50.0, 60.0]) == pytest.approx(50 + math.log(2), abs=1e-4)
    logits = np.random.default_rng(0).normal(size=25)
    prob = (1 / (1 + np.exp(-logits))).mean()
    assert logit_of_mean_prob(logits) == pytest.approx(np.log(prob / (1 - prob)))


def test_an_unknown_logit_stays_unknown() -> None:
    assert (
        mean_records([[record('p', None, 1.0)], [record('p', 1.0, 1.0)]], KINDS)[0]['tasks']['N']['logit']
        is None
    )


def test_members_on_other_images_are_refused() -> None:
    with pytest.raises(
        PredictionError, match=r"member 1 of the ensemble: 2 images are not those of member 0.*'p'"
    ):
        mean_records([[record('p', 0, 1)], [record('q', 0, 1)]], KINDS)


def test_copies_of_an_image_are_refused() -> None:
    with pytest.raises(PredictionError, match=r'member 0 of the ensemble: 0 images .* there are copies'):
        mean_records([[record('p', 0, 1), record('p', 0, 1)]], KINDS)


def test_members_with_other_tasks_are_refused() -> None:
    other = record('p', 0, 1)
    del other['tasks']['size']
    with pytest.raises(PredictionError, match='the models of the ensemble have different tasks'):
        mean_records([[record('p', 0, 1)], [other]], KINDS)
