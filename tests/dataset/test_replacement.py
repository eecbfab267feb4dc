"""Damaged images in training: replaced, logged, counted, limited; elsewhere an error."""

import logging
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from mammo.records.meta import write_meta
from mammo.records.storage.png import ImageFileError


class Keep(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f'{record.levelname} {record.getMessage()}')


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What is logged during the test, as 'LEVEL message'."""
    logger, handler = MMLogger.get_current_instance(), Keep()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


KINDS = ['MammoPatchDataset', 'MammoMultiTaskDataset', 'MammoSingleTaskDataset']


def build(folder: Path, kind: str, n_images: int, damaged: tuple[int, ...], **arguments: Any) -> Any:
    """Image i holds the value i."""
    for i in range(n_images):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((6, 5), i % 256, np.uint8))
    for i in damaged:
        (folder / f'{i}.png').write_bytes(b'damaged')
    (folder / 'list.txt').write_text('\n'.join(f'{i}.png' for i in range(n_images)))
    write_meta(
        folder / 'meta.json',
        [dict(img_path=f'{i}.png', gt_label=dict(N=i % 2)) for i in range(n_images)],
        ['N'],
    )
    ann_file = 'list.txt' if kind == 'MammoPatchDataset' else 'meta.json'
    pipeline = [dict(type='LoadMammogram')]
    return DATASETS.build(
        dict(type=kind, data_root=str(folder), ann_file=ann_file, pipeline=pipeline, **arguments)
    )


def values(data: Any) -> list[int]:
    return [int(data[i]['img'].flat[0]) for i in range(len(data))]


@pytest.mark.parametrize('kind', KINDS)
def test_damaged_image_is_replaced_with_its_labels(tmp_path: Path, kind: str, log_lines: list[str]) -> None:
    data = build(tmp_path, kind, 10, damaged=(3,))
    sample = data[3]
    value = int(sample['img'].flat[0])
    assert value != 3
    assert sample['img_path'] == str(tmp_path / f'{value}.png')
    if kind != 'MammoPatchDataset':
        assert sample['gt_label'] == dict(N=value % 2)
    (line,) = [line for line in log_lines if 'replaced by another image' in line]
    assert line.startswith('WARNING')
    assert '3.png: not an image, or damaged (7 bytes)' in line
    assert data.check_damaged() == 1


def test_whole_images_are_not_touched(tmp_path: Path) -> None:
    expected = list(range(10))
    assert values(build(tmp_path, 'MammoPatchDataset', 10, damaged=())) == expected
    data = build(tmp_path, 'MammoPatchDataset', 10, damaged=(4,))
    assert [value for i, value in enumerate(values(data)) if i != 4] == expected[:4] + expected[5:]


def test_replacement_is_the_same_every_time_and_draws_no_global_numbers(tmp_path: Path) -> None:
    data = build(tmp_path, 'MammoPatchDataset', 200, damaged=(3, 7))
    np.random.seed(0)
    torch.manual_seed(0)
    first = values(data)
    assert np.random.random() == np.random.RandomState(0).random_sample()
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))
    assert values(data) == first


def test_image_seen_many_times_counts_and_is_logged_once(tmp_path: Path, log_lines: list[str]) -> None:
    data = build(tmp_path, 'MammoPatchDataset', 10, damaged=(3,))
    for _ in range(5):
        data[3]
    assert data.check_damaged() == 1
    assert len([line for line in log_lines if 'replaced' in line]) == 1


def test_a_single_damaged_image_among_few_is_allowed_and_a_second_is_not(tmp_path: Path) -> None:
    data = build(tmp_path, 'MammoPatchDataset', 10, damaged=(3, 5))
    data[3]
    with pytest.raises(ImageFileError, match=r'2 of 10 training images do not decode, 1% may'):
        data[5]


@pytest.mark.parametrize(('n_damaged', 'stops'), [(2, False), (3, True)])
def test_limit_is_one_percent(tmp_path: Path, n_damaged: int, stops: bool, log_lines: list[str]) -> None:
    damaged = tuple(range(50, 50 + n_damaged))
    data = build(tmp_path, 'MammoMultiTaskDataset', 200, damaged)
    if not stops:
        values(data)
        assert data.check_damaged() == n_damaged
        return
    with pytest.raises(ImageFileError, match='3 of 200') as error:
        values(data)
    assert all(str(tmp_path / f'{i}.png') in str(error.value) for i in damaged)
    assert any(line.startswith('ERROR') and '52.png' in line for line in log_lines)


@pytest.mark.parametrize('n_images', [1, 2, 300])
def test_unplugged_disk_ends_in_an_error_not_in_an_endless_search(tmp_path: Path, n_images: int) -> None:
    data = build(tmp_path, 'MammoPatchDataset', n_images, tuple(range(n_images)))
    with pytest.raises(ImageFileError, match='training images do not decode'):
        values(data)


@pytest.mark.parametrize('kind', KINDS)
def test_damaged_test_image_is_an_error(tmp_path: Path, kind: str) -> None:
    data = build(tmp_path, kind, 10, damaged=(3,), test_mode=True)
    with pytest.raises(ImageFileError, match=r'3\.png: not an image, or damaged'):
        values(data)


def load(data: Any, n_workers: int, start: str | None = 'fork', epochs: int = 1) -> list[int]:
    loader = DataLoader(
        data, 4, num_workers=n_workers, collate_fn=pseudo_collate,
        multiprocessing_context=start if n_workers else None,
    )  # fmt: skip
    return [int(image.flat[0]) for _ in range(epochs) for batch in loader for image in batch['img']]


def test_workers_count_together_and_batches_do_not_depend_on_their_number(tmp_path: Path) -> None:
    data = build(tmp_path, 'MammoPatchDataset', 200, damaged=(2, 9))
    alone = load(data, 0)
    data = build(tmp_path, 'MammoPatchDataset', 200, damaged=(2, 9))
    assert load(data, 2, epochs=2) == alone * 2
    assert data.check_damaged() == 2, 'counted in this process too, each image once'


def test_workers_stop_together_although_none_alone_is_above_the_limit(tmp_path: Path) -> None:
    """Batches of 4 go to the two workers in turn: 0 and 1 to the first, 5 to the second."""
    data = build(tmp_path, 'MammoPatchDataset', 200, damaged=(0, 1, 5))
    with pytest.raises(ImageFileError, match=r'^3 of 200 training images do not decode.*5\.png$') as error:
        load(data, 2)
    assert 'Traceback' not in str(error.value)


def test_damage_is_counted_while_another_worker_notes_some(tmp_path: Path) -> None:
    """Looking for what is not 0 in memory that changes meanwhile writes beyond the end of its result."""
    data = build(tmp_path, 'MammoPatchDataset', 10, damaged=())
    done = multiprocessing.get_context('fork').Event()

    def note() -> None:
        while not done.is_set():
            for _ in range(1000):
                data.damaged[3] ^= 1

    worker = multiprocessing.get_context('fork').Process(target=note, daemon=True)
    worker.start()
    assert {data.check_damaged() for _ in range(20_000)} <= {0, 1}
    done.set()
    worker.join()


@pytest.mark.slow
def test_spawned_workers_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([root, os.environ.get('PYTHONPATH', '')]))
    data = build(tmp_path, 'MammoPatchDataset', 200, damaged=(0, 5))
    load(data, 2, 'spawn')
    assert data.check_damaged() == 2


def test_labelled_dataset_counts_in_workers_as_well(tmp_path: Path) -> None:
    data = build(tmp_path, 'MammoMultiTaskDataset', 200, damaged=(0, 5))
    load(data, 2)
    assert data.check_damaged() == 2
