"""Multi-task dataset: paths, labels, identity, errors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmpretrain.registry import DATASETS

from mammo.records.meta import MetaError, write_meta

PIPELINE = [dict(type='LoadMammogram'), dict(type='MammoPackMultiTaskInputs')]


def build(folder: Path, **arguments: Any) -> Any:
    return DATASETS.build(
        dict(type='MammoMultiTaskDataset', data_root=str(folder), **{'ann_file': 'train.json', **arguments})
    )


def write(folder: Path, items: list[dict], tasks: tuple = ('N',)) -> None:
    write_meta(folder / 'train.json', items, list(tasks))


def test_samples_come_from_file_to_tensor(toy_data: Path) -> None:
    dataset = build(toy_data, pipeline=PIPELINE)
    assert len(dataset) == 20
    assert dataset.metainfo['tasks'] == ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
    sample = dataset[2]
    assert sample['inputs'].shape == (1, 150, 80)
    assert sample['inputs'].dtype == torch.uint8
    data_sample = sample['data_samples']
    assert set(data_sample.tasks) == {'N', 'LVI', 'NumPos', 'tumor_size'}
    assert torch.equal(data_sample.tumor_size.gt_label, torch.tensor([0.8]))
    assert data_sample.img_name == 'image2.png'
    assert (data_sample.patient_id, data_sample.exam_id, data_sample.view) == ('p1', '1', 'MLO')


def test_labels_that_a_sample_lacks_leave_the_task_out(toy_data: Path) -> None:
    assert set(build(toy_data, pipeline=PIPELINE)[0]['data_samples'].tasks) == {'N', 'NumPos', 'tumor_size'}


def test_minimal_meta_file_of_the_specification_loads(tmp_path: Path) -> None:
    labels = [{'Tumor size': 0.765, 'LNM': 0}, {'Tumor size': 0.2, 'LNM': 1}]
    meta = {
        'metainfo': {'tasks': ['Tumor size', 'LNM']},
        'data_list': [{'img_path': f'{i}.jpg', 'gt_label': label} for i, label in enumerate(labels)],
    }
    (tmp_path / 'train.json').write_text(json.dumps(meta))
    dataset = build(tmp_path)
    assert [item['gt_label'] for item in dataset.data_list] == labels
    assert dataset.metainfo == {'tasks': ['Tumor size', 'LNM']}


def test_image_paths_start_from_data_root_and_prefix(tmp_path: Path) -> None:
    absolute = str(tmp_path / 'elsewhere' / 'c.png')
    write(tmp_path, [dict(img_path='sub/a.png'), dict(img_path=absolute)])
    assert [i['img_path'] for i in build(tmp_path).data_list] == [str(tmp_path / 'sub/a.png'), absolute]
    prefixed = build(tmp_path, data_prefix='images').data_list
    assert [i['img_path'] for i in prefixed] == [str(tmp_path / 'images/sub/a.png'), absolute]
    assert [i['img_name'] for i in prefixed] == ['sub/a.png', absolute]


def test_without_data_root_paths_are_as_given(tmp_path: Path) -> None:
    write(tmp_path, [dict(img_path='a.png')])
    dataset = DATASETS.build(dict(type='MammoMultiTaskDataset', ann_file=str(tmp_path / 'train.json')))
    assert dataset.data_list[0]['img_path'] == 'a.png'


def test_metainfo_argument_overrides_the_file(tmp_path: Path) -> None:
    write(tmp_path, [dict(img_path='a.png')])
    assert build(tmp_path, metainfo=dict(tasks=['other'])).metainfo['tasks'] == ['other']


def test_reading_a_sample_does_not_change_the_list(toy_data: Path) -> None:
    dataset = build(toy_data, pipeline=PIPELINE)
    before = json.dumps(dataset.data_list[0])
    first, second = dataset[0], dataset[0]
    assert torch.equal(first['inputs'], second['inputs'])
    assert json.dumps(dataset.data_list[0]) == before


def test_dataset_can_be_printed(toy_data: Path) -> None:
    assert 'tumor_size' in repr(build(toy_data, pipeline=PIPELINE))


def test_missing_meta_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetaError, match=r'train\.json: no such meta file; check data_root and ann_file'):
        build(tmp_path)


def test_empty_list_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [])
    with pytest.raises(MetaError, match=r'train\.json: "data_list" is empty'):
        build(tmp_path)


def test_bad_item_is_named_with_its_index(tmp_path: Path) -> None:
    (tmp_path / 'train.json').write_text(
        '{"data_list": [{"img_path": "a"}, {"img_path": "b", "gt_label": {"N": "x"}}]}'
    )
    with pytest.raises(MetaError, match=r"train\.json: item 1: task 'N' has value 'x'"):
        build(tmp_path)
