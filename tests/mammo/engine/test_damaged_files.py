"""Files with a flipped bit or a missing end: refused in words, or read; never a crash, never half."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mammo.engine.loading.checkpoint import CheckpointError, load_from_file
from mammo.errors import UserError
from mammo.records.features import read_features
from mammo.records.fusion_set import FusionError, read_split
from mammo.records.meta import MetaError, read_meta, write_meta
from mammo.records.predictions import PredictionError, read_predictions, write_predictions
from mammo.records.storage.files import write_hashed

FLIPS, CUTS = 150, 25


def checkpoint(path: Path) -> None:
    state = {f'layer{i}.weight': torch.randn(3, 5) for i in range(4)}
    hub = dict(log_scalars=dict(loss=dict(values=torch.rand(9), max_length=10)), runtime_info=dict(epoch=3))
    torch.save(dict(state_dict=state, meta=dict(epoch=3, time='now'), message_hub=hub), path)


def meta(path: Path) -> None:
    labels = [dict(N=i % 2, tumor_size=i / 9) for i in range(9)]
    items = [dict(img_path=f'{i}.png', patient_id=f'p{i}', gt_label=label) for i, label in enumerate(labels)]
    write_meta(path, items, ['N', 'tumor_size'])


def features(path: Path) -> None:
    text = dict(patient_id=['p1', 'p2'], column=['N', 'LVI'], stage='head', aggregate='mean')
    np.savez(path, format_version=1, x=np.random.default_rng(0).normal(size=(2, 2)), **text)


def predictions(path: Path) -> None:
    task = dict(logit=0.5, pred_score=0.62, gt_label=1)
    texts = dict(exam_id='1', view='CC', laterality='L')
    records = [dict(img_path=f'{i}.png', patient_id=f'p{i}', tasks=dict(N=task), **texts) for i in range(9)]
    write_predictions(path, records)


def fusion_set(path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(path.parent / 'test_x_preope.npy', rng.normal(size=(6, 3)))
    np.save(path.parent / 'test_fortnr.npy', np.array([f'p{i}' for i in range(6)]))
    np.save(path.parent / 'test_y.npy', np.array([0.0, 1, 0, 1, 0, 1]))


def read_fusion_set(path: Path) -> Any:
    return read_split(path.parent, 'test', 'clinical-only')


KINDS: dict[str, tuple[Callable, Callable, type[Exception]]] = {
    'a.pth': (checkpoint, load_from_file, CheckpointError),
    'a.json': (meta, read_meta, MetaError),
    'a.npz': (features, read_features, UserError),
    'p.json': (predictions, read_predictions, PredictionError),
    'p.pkl': (predictions, read_predictions, PredictionError),
    'p.csv': (predictions, read_predictions, PredictionError),
    'test_x_preope.npy': (fusion_set, read_fusion_set, FusionError),
    'test_fortnr.npy': (fusion_set, read_fusion_set, FusionError),
    'test_y.npy': (fusion_set, read_fusion_set, FusionError),
}


def damaged(data: bytes) -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for bit in rng.integers(0, 8 * len(data), FLIPS):
        copy = bytearray(data)
        copy[bit // 8] ^= 1 << int(bit % 8)
        yield bytes(copy)
    for end in {*rng.integers(0, len(data), CUTS).tolist(), 0, 1, len(data) - 1}:
        yield data[:end]


@pytest.mark.parametrize('name', KINDS)
def test_a_damaged_file_is_read_or_refused_by_name(name: str, tmp_path: Path) -> None:
    write, read, error = KINDS[name]
    path = tmp_path / name
    write(path)
    read(path)
    refusals = []
    for data in damaged(path.read_bytes()):
        path.write_bytes(data)
        try:
            read(path)
        except error as refusal:
            refusals.append(str(refusal))
    assert len(refusals) >= CUTS / 2
    assert all(tmp_path.name in refusal for refusal in refusals)


def test_every_damage_of_a_checkpoint_with_its_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    checkpoint(path)
    write_hashed(path, path.read_bytes())
    load_from_file(str(path))
    for data in damaged(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r'a\.pth: damaged: its SHA-256'):
            load_from_file(str(path))


def test_ids_that_are_no_unicode_are_refused(tmp_path: Path) -> None:
    fusion_set(tmp_path / 'test_fortnr.npy')
    ids = np.load(tmp_path / 'test_fortnr.npy')
    ids.view(np.uint32)[1] = 0x2000031  # one bit beyond the last code point
    np.save(tmp_path / 'test_fortnr.npy', ids)
    with pytest.raises(FusionError, match=r'test_fortnr\.npy: damaged: it holds text that is no Unicode'):
        read_fusion_set(tmp_path / 'test_fortnr.npy')
