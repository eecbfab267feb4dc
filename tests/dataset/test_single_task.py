"""Single-task dataset: text list, meta file with one task named."""

from pathlib import Path
from typing import Any

import pytest
from mmpretrain.registry import DATASETS

from mammo.records.meta import MetaError, write_meta


def build(folder: Path, ann_file: str = 'list.txt', **arguments: Any) -> Any:
    return DATASETS.build(
        dict(type='MammoSingleTaskDataset', data_root=str(folder), ann_file=ann_file, **arguments)
    )


def test_text_list_has_a_path_and_a_label_per_line(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('a.png 1\nsub/b c.png 0\n\n  d.png   nan  \n')
    dataset = build(tmp_path)
    assert [item['img_name'] for item in dataset.data_list] == ['a.png', 'sub/b c.png', 'd.png']
    assert [item['gt_label'] for item in dataset.data_list] == [{'N': 1.0}, {'N': 0.0}, {}]
    assert dataset.metainfo['tasks'] == ['N']
    assert dataset.data_list[0]['img_path'] == str(tmp_path / 'a.png')


def test_task_of_a_text_list_is_the_one_of_the_config(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('a.png 1\n')
    assert build(tmp_path, task='LVI').data_list[0]['gt_label'] == {'LVI': 1.0}


def test_windows_text_list_loads(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_bytes(b'\xef\xbb\xbfa.png 1\r\nb.png 0\r\n')
    dataset = build(tmp_path)
    assert [item['img_name'] for item in dataset.data_list] == ['a.png', 'b.png']


@pytest.mark.parametrize('line', ['a.png', 'a.png 2', 'a.png yes', 'a.png 0.5', '1', 'a.png,1'])
def test_bad_line_is_named_with_number_and_content(tmp_path: Path, line: str) -> None:
    (tmp_path / 'list.txt').write_text(f'ok.png 1\n{line}\n')
    with pytest.raises(MetaError, match=rf"list\.txt: line 2 is '{line}', expected \"path label\""):
        build(tmp_path)


def test_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetaError, match=r'list\.txt: no such list; check data_root and ann_file'):
        build(tmp_path)


def test_empty_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('\n')
    with pytest.raises(MetaError, match=r'list\.txt: "data_list" is empty'):
        build(tmp_path)


def test_text_list_in_another_encoding_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_bytes(b'gr\xf6sse.png 1\n')
    with pytest.raises(MetaError, match=r'list\.txt: cannot be read as UTF-8 text'):
        build(tmp_path)


def test_one_task_of_a_meta_file(tmp_path: Path) -> None:
    items = [dict(img_path='a.png', patient_id='p', gt_label=dict(N=1, LVI=0)), dict(img_path='b.png')]
    write_meta(tmp_path / 'meta.json', items, ['N', 'LVI'])
    dataset = build(tmp_path, 'meta.json', task='LVI')
    assert [item['gt_label'] for item in dataset.data_list] == [{'LVI': 0.0}, {}]
    assert dataset.metainfo['tasks'] == ['LVI']
    assert dataset.data_list[0]['patient_id'] == 'p'


def test_task_that_the_meta_file_lacks(tmp_path: Path) -> None:
    write_meta(tmp_path / 'meta.json', [dict(img_path='a.png')], ['N'])
    with pytest.raises(MetaError, match=r"meta\.json: task 'LVI' is not among its tasks \['N'\]"):
        build(tmp_path, 'meta.json', task='LVI')
