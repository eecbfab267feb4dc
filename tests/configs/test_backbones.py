"""Configs of backbones: built, run forward and backward at small size; the rest in tests/tools."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, MultiTaskDataSample

from models.necks.fitting import cells_of, last_map_shape

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs/backbones'
FILES = sorted(path.stem for path in FOLDER.glob('*.py'))
BACKBONES = sorted(name.removesuffix('_transformer') for name in FILES if name.endswith('_transformer'))
STRIDES = dict(resnet50_stride16=16, vit_small_dinov2=14)  # the others: 32


def small_model(name: str, **model: Any) -> Any:
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    cfg.model.backbone.init_cfg = None
    cfg.merge_from_dict(dict(model=dict(image_size=(224, 128), **model)))
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def labelled(tasks: list[str], i: int) -> MultiTaskDataSample:
    sample = MultiTaskDataSample()
    for task in tasks:
        value = DataSample()
        value.set_field(torch.tensor([float(i % 2)]), 'gt_label', dtype=torch.Tensor)
        sample.set_field(value, task)
    return sample


def losses(model: Any) -> torch.Tensor:
    images = torch.randn(2, 3, 224, 128, generator=torch.Generator().manual_seed(1))
    return sum(model.loss(images, [labelled(list(model.head.task_heads), i) for i in range(2)]).values())


@pytest.mark.parametrize('name', [f'{name}_transformer' for name in BACKBONES])
def test_a_frozen_backbone_stays_and_the_neck_learns(name: str) -> None:
    model = small_model(name).train()
    assert not model.backbone.training
    losses(model).backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert all(parameter.grad is not None for parameter in model.neck.parameters())


@pytest.mark.parametrize('name', BACKBONES)
def test_grid_and_width_of_the_neck_follow_from_the_map(name: str) -> None:
    model = small_model(f'{name}_transformer').eval()
    with torch.no_grad():
        feats = model.extract_feat(torch.zeros(1, 3, 224, 128), stage='backbone')
    assert feats[-1].shape == last_map_shape(model.backbone, (224, 128))
    assert model.neck.pos_embedding.shape[1] == 1 + np.prod(model.neck.grid)
    assert model.neck.grid == tuple(model.neck.pool(feats[-1]).shape[2:])
    assert cells_of(model.backbone).cell_px == STRIDES.get(name, 32)


@pytest.mark.slow
@pytest.mark.parametrize('name', FILES)
def test_all_of_it_learns_when_it_is_not_frozen(name: str) -> None:
    model = small_model(name, frozen_backbone=False).train()
    losses(model).backward()
    assert any(
        parameter.grad is not None and parameter.grad.any() for parameter in model.backbone.parameters()
    )


def test_a_neck_without_a_number_per_task_is_refused() -> None:
    with pytest.raises(ValueError, match='GlobalAveragePooling emits features, not one number per task'):
        small_model('swin_tiny_gap', neck=dict(_delete_=True, type='GlobalAveragePooling'))


def test_a_backbone_without_a_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r'ConvNeXt emits .*expected a map'):
        small_model('convnext_tiny_transformer', backbone=dict(gap_before_final_norm=True))
