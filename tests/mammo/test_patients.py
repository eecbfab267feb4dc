"""The rule which images speak for a patient: its cases, and that all who ask get the same answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mammo.errors import UserError
from mammo.evaluation.cohort.reading import read_patients
from mammo.inference.exam.images import ExamImage
from mammo.inference.predictor import used_images
from mammo.patients import of_members, of_patients, patient_features, speaking, speaking_items
from mammo.records.predictions import write_predictions


def image(patient: str = 'p', **more: object) -> dict:
    return dict(patient_id=patient, **more)


@pytest.mark.parametrize(
    ('images', 'expected'),
    [
        ([image(laterality='L', tumor_side='L'), image(laterality='R', tumor_side='L')], [True, False]),
        ([image(laterality='L', tumor_side='L'), image(laterality='R')], [True, False]),
        ([image(laterality='L', tumor_side='L'), image(laterality='R', tumor_side='R')], [True, True]),
        ([image(laterality='L'), image(laterality='R')], [True, True]),
        ([image(laterality=None, tumor_side='L'), image(laterality='R', tumor_side='L')], [True, False]),
        ([image(exam_order=1), image(exam_order=2)], [False, True]),
        ([image(exam_order=1), image(exam_order=None)], [True, False]),
        ([image(exam_order=None), image(exam_order=None)], [True, True]),
        ([image('p', exam_order=1), image('q', exam_order=2)], [True, True]),
        ([image(laterality='L', tumor_side='L', exam_order=1),
          image(laterality='R', tumor_side='L', exam_order=2)], [True, False]),
    ],
)  # fmt: skip
def test_images_of_the_tumor_side_in_its_latest_exam_speak(images: list[dict], expected: list[bool]) -> None:
    assert speaking_items(images).tolist() == expected


def test_no_patient_is_silenced_by_the_exam_order_alone() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        frame = pd.DataFrame(
            dict(patient_id=rng.choice(list('pqr'), 9), exam_order=rng.choice([1, 2, np.nan], 9))
        )
        assert set(frame.patient_id[speaking(frame)]) == set(frame.patient_id)


def test_order_that_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match='exam_order: 1 values are no numbers: late of p'):
        speaking_items([image(exam_order='late')])


def random_exam(rng: np.random.Generator) -> tuple[list[dict], str | None]:
    """Images of one patient, and the side of her tumor."""
    side = rng.choice(['L', 'R', None])
    images = [
        dict(
            img_path=f"{i}.png", patient_id="p", exam_id="1", view="CC",
            laterality=str(rng.choice(["L", "R"])),
            exam_order=rng.choice([1, 2, None]),
        )
        for i in range(rng.integers(1, 7))
    ]  # fmt: skip
    return images, side


@pytest.mark.parametrize('seed', range(25))
def test_evaluation_features_and_predictor_select_the_same_images(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    images, side = random_exam(rng)
    scores = rng.permutation(len(images)) / 10  # which image decided can be read from its score
    exam = [
        ExamImage(
            i['img_path'], 'CC', i['laterality'], 'given', np.zeros((1, 1), np.uint8), scaled=True,
            exam_order=i['exam_order'],
        )
        for i in images
    ]  # fmt: skip
    used = np.array(used_images(exam, side))
    for record, score in zip(images, scores, strict=True):
        record['tumor_side'] = side
        record['tasks'] = dict(N=dict(logit=None, pred_score=float(score), gt_label=0))
    write_predictions(tmp_path / 'p.json', images)
    evaluated = read_patients([tmp_path / 'p.json'], 'N')
    features = patient_features(scores[:, None], images, ['N'], 'mean', 'head')
    assert evaluated.flow['images_used'] == used.sum()
    if used.any():
        assert evaluated.table.score.to_dict() == dict(p=scores[used].max())
        assert features.sided.loc['p', 'N'] == pytest.approx(scores[used].mean())
        assert of_members(scores[used][:, None], 'binary') == [scores[used].max()]


def test_members_of_the_image_with_the_highest_mean_speak_for_a_binary_task() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.5]])
    assert of_members(scores, 'binary').tolist() == [0.6, 0.5]
    assert of_members(scores, 'regression') == pytest.approx([0.75, 0.3])


def test_features_of_both_breasts_are_kept_beside_those_of_the_side() -> None:
    images = [image(laterality=side, tumor_side='L') for side in 'LR']
    features = patient_features(np.array([[1.0], [3.0]]), images, ['N'], 'mean', 'head')
    assert features.sided.loc['p', 'N'] == 1
    assert features.both_sides is not None
    assert features.both_sides.loc['p', 'N'] == 2


def test_pooling_does_not_depend_on_the_order_of_images() -> None:
    rng = np.random.default_rng(0)
    x, patients = rng.normal(size=(20, 3)), rng.choice(list('abc'), 20)
    order = rng.permutation(20)
    for pooled, again in zip(of_patients(x, patients), of_patients(x[order], patients[order]), strict=True):
        np.testing.assert_array_equal(pooled.round(12) if pooled.dtype == float else pooled,
                                      again.round(12) if again.dtype == float else again)  # fmt: skip


def test_image_without_patient_is_refused_for_features() -> None:
    with pytest.raises(UserError, match=r'1 images have no patient_id: a\.png'):
        patient_features(np.zeros((1, 1)), [dict(img_name='a.png', patient_id=None)], ['N'], 'mean', 'head')


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, [False, True, False]),
        (dict(all_sides=True), [False, True, True]),
        (dict(all_exams=True), [True, True, False]),
        (dict(all_sides=True, all_exams=True), [True, True, True]),
    ],
)
def test_other_side_and_earlier_exams_speak_when_asked(options: dict, expected: list[bool]) -> None:
    images = [
        image(laterality='L', tumor_side='L', exam_order=1),
        image(laterality='L', tumor_side='L', exam_order=2),
        image(laterality='R', tumor_side='L', exam_order=2),
    ]
    assert speaking_items(images, **options).tolist() == expected


@pytest.mark.parametrize('side', ['B', 'l', ''])
def test_a_side_that_is_none_silences_nobody(side: str) -> None:
    assert speaking_items([image(laterality=s, tumor_side=side) for s in 'LR']).tolist() == [True, True]
    assert speaking_items([image(laterality=side, tumor_side='L'), image(laterality='L')]).tolist() == [
        True, True,
    ]  # fmt: skip


def test_sides_of_one_patient_are_not_those_of_another() -> None:
    images = [
        image('p', laterality='L', tumor_side='L'),
        image('q', laterality='R'),
        image('p', laterality='R'),
    ]
    assert speaking_items(images).tolist() == [True, True, False]


def test_tumors_on_both_sides_keep_each_image_of_its_own_side() -> None:
    images = [
        image(laterality='L', tumor_side='L'),
        image(laterality='R', tumor_side='R'),
        image(laterality='R'),
    ]
    assert speaking_items(images).tolist() == [True, True, False]  # the third has the side named first


def test_order_as_text_is_a_number() -> None:
    assert speaking_items([image(exam_order='9'), image(exam_order='10')]).tolist() == [False, True]


@pytest.mark.parametrize(('how', 'expected'), [('mean', [[2, 3], [9, 9]]), ('max', [[3, 4], [9, 9]])])
def test_numbers_of_patients_are_sorted_by_id_and_pooled_by_column(how: str, expected: list) -> None:
    values, ids = of_patients(
        np.array([[9, 9], [1, 4], [3, 2.0]], np.float32), np.array(['b', 'a', 'a']), how
    )
    assert ids.tolist() == ['a', 'b']
    assert values.tolist() == expected
    assert values.dtype == np.float32


def test_features_say_whose_side_is_known() -> None:
    images = [
        image('p', laterality='L', tumor_side='L'),
        image('p', laterality='R'),
        image('q', laterality='L'),
    ]
    features = patient_features(np.array([[1.0], [3.0], [5.0]]), images, ['N'], 'max', 'head')
    assert features.side_known is not None
    assert features.side_known.to_dict() == dict(p=True, q=False)
    assert features.sided['N'].to_dict() == dict(p=1, q=5)
    assert features.both_sides is not None
    assert features.both_sides['N'].to_dict() == dict(p=3, q=5)
    assert features.description == dict(columns=['N'], stage='head', aggregate='max')


def test_images_of_which_no_order_is_recorded_all_speak_whatever_their_index() -> None:
    frame = pd.DataFrame(dict(patient_id=['p', 'p']), index=[7, 3])
    found = speaking(frame)
    assert found.tolist() == [True, True]
    assert found.index.tolist() == [7, 3]


def test_no_images_is_no_one_speaking() -> None:
    assert speaking_items([]).tolist() == []


def test_ids_that_are_numbers_become_text() -> None:
    _, ids = of_patients(np.zeros((2, 1)), np.array([10, 9]))
    assert ids.tolist() == ['10', '9']
