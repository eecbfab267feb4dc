"""Images that a network of several views sees as one."""

import pytest

from mammo.errors import UserError
from mammo.patients import shown_together


def image(view: str | None, side: str | None, patient: str = 'p', exam: str = '1') -> dict:
    return dict(patient_id=patient, exam_id=exam, view=view, laterality=side, img_path=f'{side}_{view}.png')


def test_one_view_is_each_image_alone_whatever_it_shows() -> None:
    assert shown_together([image(None, None), image('ML', 'B')], 1) == [(0,), (1,)]


def test_two_views_are_those_of_a_breast_cc_first() -> None:
    items = [image('MLO', 'R'), image('CC', 'L'), image('CC', 'R'), image('MLO', 'L')]
    assert shown_together(items, 2) == [(2, 0), (1, 3)]


def test_four_views_are_those_of_an_exam_the_left_breast_first() -> None:
    items = [image('MLO', 'R'), image('CC', 'R'), image('CC', 'L')]
    assert shown_together(items, 4) == [(2, None, 1, 0)]


def test_exams_and_patients_are_apart() -> None:
    items = [image('CC', 'L'), image('CC', 'L', exam='2'), image('CC', 'L', patient='q'), image('MLO', 'L')]
    assert shown_together(items, 2) == [(0, 3), (1, None), (2, None)]


def test_images_without_patient_are_each_of_someone_else() -> None:
    items = [
        {key: value for key, value in image(v, 'L').items() if key != 'patient_id'} for v in ('CC', 'MLO')
    ]
    assert shown_together(items, 2) == [(0, None), (None, 1)]


def test_of_several_images_of_a_view_each_is_seen_once_and_the_last_of_the_others_again() -> None:
    items = [image(view, 'L') for view in ('CC', 'MLO', 'CC', 'MLO', 'CC')]
    assert shown_together(items, 2) == [(0, 1), (2, 3), (4, 3)]


@pytest.mark.parametrize('odd', [image('ML', 'L'), image(None, 'L'), image('CC', None), image('CC', 'B')])
def test_images_without_view_or_side_are_named(odd: dict) -> None:
    message = f'^1 images have no view of CC, MLO or no side of L, R, as a .* 2 views .*: {odd["img_path"]};'
    with pytest.raises(UserError, match=message):
        shown_together([image('CC', 'L'), odd], 2)
