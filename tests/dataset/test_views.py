"""Samples of several views: which images, which labels, one picture."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dataset import MammoMultiViewDataset
from mammo.errors import UserError
from mammo.records.meta import write_meta

PIPELINE = [
    dict(type='LoadViews', transforms=[dict(type='LoadMammogram'), dict(type='Resize', scale=(4, 6))]),
    dict(type='MammoPackMultiTaskInputs'),
]


def item(
    view: str | None, side: str | None, *, n: int = 0, patient: str = 'p', **more: Any
) -> dict[str, Any]:
    name = f'{patient}_{side}_{view}_{n}.png'
    about = dict(
        img_path=name, patient_id=patient, exam_id='1', view=view, laterality=side, gt_label=dict(N=1)
    )
    return {key: value for key, value in (about | more).items() if value is not None}


def dataset(folder: Path, items: list[dict], n_views: int) -> MammoMultiViewDataset:
    for grey, one in enumerate(items, start=1):
        cv2.imwrite(str(folder / one['img_path']), np.full((8, 8), 10 * grey, np.uint8))
    write_meta(folder / 'test.json', items, ['N', 'size'])
    return MammoMultiViewDataset(
        ann_file='test.json', data_root=str(folder), pipeline=PIPELINE, n_views=n_views, test_mode=True
    )


ITEMS = [item('MLO', 'L'), item('CC', 'R'), item('CC', 'L', gt_label=dict(N=1, size=0.5)),
         item('CC', 'L', patient='q', gt_label={})]  # fmt: skip


def test_a_breast_is_cc_above_mlo_and_a_missing_view_is_black(tmp_path: Path) -> None:
    data = dataset(tmp_path, ITEMS, 2)
    greys = [sample['inputs'][0, ::6, 0].tolist() for sample in data]  # first row of each view
    assert greys == [[30, 10], [20, 0], [40, 0]]
    assert data[0]['inputs'].shape == (1, 12, 4)
    sample = data[0]['data_samples']
    assert sample.img_name == 'p_L_CC_0.png + p_L_MLO_0.png'
    assert (sample.patient_id, sample.laterality) == ('p', 'L')
    assert [view and view['img_name'] for view in data[1]['data_samples'].views] == ['p_R_CC_0.png', None]
    assert sample.N.gt_label == torch.tensor([1.0])
    assert sample.get('size').gt_label == torch.tensor([0.5])
    assert 'N' not in data[2]['data_samples']
    assert len(data.images) == 4


def test_an_exam_is_the_left_breast_above_the_right(tmp_path: Path) -> None:
    data = dataset(tmp_path, ITEMS, 4)
    greys = [sample['inputs'][0, ::6, 0].tolist() for sample in data]
    assert greys == [[30, 10, 20, 0], [40, 0, 0, 0]]
    assert data[0]['data_samples'].get('laterality') is None


def test_several_images_of_a_view_are_each_seen_once_beside_the_others(tmp_path: Path) -> None:
    items = [item('CC', 'L'), item('CC', 'L', n=1), item('MLO', 'L'), item('CC', 'L', n=2, exam_id='2')]
    data = dataset(tmp_path, items, 2)
    greys = [sample['inputs'][0, ::6, 0].tolist() for sample in data]
    assert greys == [[10, 30], [20, 30], [40, 0]]


@pytest.mark.parametrize('odd', [item('ML', 'L'), item('CC', None), item(None, 'L')])
def test_an_image_of_another_view_is_named(tmp_path: Path, odd: dict) -> None:
    with pytest.raises(UserError, match=f'1 images have no view .*{odd["img_path"]}; leave them out'):
        dataset(tmp_path, [item('CC', 'L'), odd], 2)


def test_labels_that_contradict_one_another_are_named(tmp_path: Path) -> None:
    items = [item('CC', 'L'), item('MLO', 'L', gt_label=dict(N=0))]
    with pytest.raises(UserError, match=r'N is 1.0 and 0.0 for one sample \(p_L_CC_0.png, p_L_MLO_0.png\)'):
        dataset(tmp_path, items, 2)


def test_views_of_different_sizes_are_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path, [item('CC', 'L'), item('MLO', 'L')], 2)
    cv2.imwrite(str(tmp_path / 'p_L_MLO_0.png'), np.full((9, 8), 10, np.uint8))
    data.pipeline.transforms[0].transforms.transforms.pop()  # the Resize
    with pytest.raises(UserError, match='end its transforms with one size'):
        data[0]
