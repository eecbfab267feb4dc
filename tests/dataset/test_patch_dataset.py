"""Lists of patches: what loads, what is refused, agreement with the stock class."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from mammo.records.meta import MetaError

PIPELINE = [dict(type='LoadMammogram')]
LINES = ['a/1.png', 'a/ü 2.png', 'b.png', '/elsewhere/c.png']


def build(folder: Path, text: str | None = None, **arguments: Any) -> Any:
    if text is not None:
        (folder / 'list.txt').write_text(text, encoding='utf-8')
    arguments = {'ann_file': 'list.txt', **arguments}
    return DATASETS.build(dict(type='MammoPatchDataset', data_root=str(folder), **arguments))


@pytest.mark.parametrize('serialize', [True, False])
@pytest.mark.parametrize('labels', [False, True])
@pytest.mark.parametrize('prefix', ['', 'images', '/images'])
def test_items_are_those_of_the_stock_class(
    tmp_path: Path, serialize: bool, labels: bool, prefix: str
) -> None:
    lines = [f'{line} {i}' for i, line in enumerate(LINES)] if labels else LINES
    arguments = dict(with_label=labels, serialize_data=serialize, data_prefix=prefix)
    ours = build(tmp_path, '\n'.join(lines), **arguments)
    stock = CustomDataset(data_root=str(tmp_path), ann_file='list.txt', **arguments)
    indices = range(1 - len(LINES), len(LINES))  # the stock class fails at -len
    assert len(ours) == len(stock) == 4
    assert [ours.get_data_info(i) for i in indices] == [stock.get_data_info(i) for i in indices]
    with pytest.raises(IndexError):
        ours.get_data_info(4)


def test_published_form_without_label_or_prefix_loads_pixels(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8)
    (tmp_path / 'a').mkdir()
    cv2.imwrite(str(tmp_path / 'a' / '1.png'), image)
    assert np.array_equal(build(tmp_path, 'a/1.png\n', pipeline=PIPELINE)[0]['img'], image)


def test_blank_lines_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_bytes(b'\xef\xbb\xbfa.png\r\n\r\nb.png\r\n')
    data = build(tmp_path)
    assert [data.get_data_info(i)['img_path'] for i in range(2)] == [str(tmp_path / f'{n}.png') for n in 'ab']


def test_folder_without_list_works_as_in_the_stock_class(tmp_path: Path) -> None:
    for name in ('x/a.png', 'x/b.png', 'y/c.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for labels in (False, True):
        ours = build(tmp_path, ann_file='', with_label=labels)
        stock = CustomDataset(data_root=str(tmp_path), with_label=labels)
        assert [ours.get_data_info(i) for i in range(3)] == [stock.get_data_info(i) for i in range(3)]


@pytest.mark.parametrize(
    ('indices', 'expected'), [(2, LINES[:2]), (-2, LINES[2:]), ([3, 0], [LINES[3], LINES[0]])]
)
def test_part_of_a_list(tmp_path: Path, indices: Any, expected: list[str]) -> None:
    part = build(tmp_path, '\n'.join(LINES), indices=indices)
    also = build(tmp_path).get_subset(indices)
    for data in (part, also):
        assert [data.get_data_info(i)['img_path'] for i in range(2)] == [str(tmp_path / n) for n in expected]


def test_missing_list_names_the_tool(tmp_path: Path) -> None:
    with pytest.raises(MetaError, match=r'list\.txt: no such list; check data_root.*extract_patches\.py'):
        build(tmp_path)


@pytest.mark.parametrize('text', ['', '\n \n'])
def test_empty_list(tmp_path: Path, text: str) -> None:
    with pytest.raises(MetaError, match=r'list\.txt: the list is empty; write one path per line'):
        build(tmp_path, text)


def test_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(MetaError, match=r'list\.txt: cannot be read as UTF-8 text'):
        build(tmp_path)


@pytest.mark.parametrize('line', ['a.png', 'a.png x', 'a.png -1', 'a.png 1.5', '3'])
def test_label_that_is_no_whole_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(MetaError, match=rf"entry 2 is '{line}', expected \"path label\".*with_label=False"):
        build(tmp_path, f'ok.png 1\n{line}', with_label=True)


@pytest.mark.parametrize('line', ['../a.png', 'x/../../a.png', 'a\0.png'])
def test_path_that_leaves_the_folder_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(MetaError, match=r'entry 2: the image path is .*expected one inside data_root'):
        build(tmp_path, f'ok..png\n{line}')
