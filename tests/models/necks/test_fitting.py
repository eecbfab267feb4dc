"""What a neck is told: widths and size follow, all else stays as it was given."""

import pytest
from mmpretrain.registry import MODELS
from torch import nn

TASKS = [dict(name='a', kind='binary'), dict(name='b', kind='regression')]
BACKBONE = dict(type='ResNetWs', depth=50, base_channels=4, stem_channels=4)


def neck_of(**neck: object) -> nn.Module:
    return MODELS.build(dict(type='ImageTabClassifier', backbone=BACKBONE, neck=neck, tasks=TASKS)).neck


def test_average_pooling_without_norm_is_a_linear_layer_alone() -> None:
    neck = neck_of(type='LinearNeck', gap_dim=2, norm_cfg=None)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in neck.modules())
    assert neck.fc.weight.shape == (2, 64)


def test_a_norm_that_is_asked_for_is_there() -> None:
    neck = neck_of(type='LinearNeck', gap_dim=2, norm_cfg=dict(type='BN1d'))
    assert isinstance(neck.norm, nn.BatchNorm1d)


@pytest.mark.parametrize('width', [dict(), dict(in_channels=None), dict(in_channels=64)])
def test_a_width_that_is_left_open_is_that_of_the_map(width: dict) -> None:
    assert neck_of(type='LinearNeck', gap_dim=2, norm_cfg=None, **width).fc.in_features == 64
