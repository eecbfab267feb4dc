"""ResNetWs: widths, names, freezing, agreement with the published numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS
from torch import nn

from models.backbones.resnet_ws import ResNetWs

SMALL = dict(depth=50, expansion=2, stem_channels=8, base_channels=8)


def test_small_backbone_agrees_with_published_numbers(compat: Path) -> None:
    case = json.loads((compat / 'manifest.json').read_text())['resnetws50_small']
    arrays = np.load(compat / 'resnetws50_small.npz')
    backbone = MODELS.build(case['config'])
    backbone.load_state_dict(
        {k[6:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith('param/')}, strict=True
    )
    outputs = backbone.eval()(torch.from_numpy(arrays['input']))
    assert len(outputs) == len(case['outputs'])
    for i, output in enumerate(outputs):
        expected = torch.from_numpy(arrays[f'output_{i}'])
        assert output.shape == expected.shape
        assert (output - expected).abs().max() < 1e-5


def test_full_size_has_published_names_shapes_and_size(compat: Path) -> None:
    backbone = ResNetWs(depth=50, expansion=2)
    published = json.loads((compat / 'published_state_dict_keys.json').read_text())['backbone']
    assert {k: list(v.shape) for k, v in backbone.state_dict().items()} == published


def test_full_size_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in ResNetWs(depth=50, expansion=2).parameters()) == 16_838_208


@pytest.mark.parametrize(('depth', 'expansion'), [(50, 1), (50, 2), (50, 4), (101, 2), (152, 2)])
def test_stage_outputs_do_not_depend_on_expansion(depth: int, expansion: int) -> None:
    backbone = ResNetWs(
        depth, expansion=expansion, stem_channels=8, base_channels=8, out_indices=(0, 1, 2, 3)
    ).eval()
    with torch.no_grad():
        shapes = [tuple(x.shape) for x in backbone(torch.zeros(1, 3, 64, 64))]
    assert shapes == [(1, 32, 16, 16), (1, 32, 8, 8), (1, 64, 4, 4), (1, 128, 2, 2)]


@pytest.mark.parametrize(('expansion', 'inner'), [(2, (16, 32, 64)), (4, (8, 16, 32))])
def test_expansion_sets_the_inner_width_of_stages_2_to_4_only(expansion: int, inner: tuple) -> None:
    backbone = ResNetWs(depth=50, expansion=expansion, stem_channels=8, base_channels=8)
    assert backbone.layer1[0].conv2.out_channels == 8  # output 32 / 4, as in the ImageNet model
    found = tuple(getattr(backbone, name)[0].conv2.out_channels for name in ('block2', 'block3', 'block4'))
    assert found == inner


def test_default_expansion_is_4() -> None:
    assert ResNetWs(depth=50, base_channels=8, stem_channels=8).block4[0].conv2.out_channels == 32


@pytest.mark.parametrize('depth', [18, 34, 7])
def test_depths_without_bottlenecks_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=f'depth is {depth}, expected one of 50, 101, 152'):
        ResNetWs(depth=depth)


def test_stock_imagenet_weights_fill_stem_and_first_stage_only() -> None:
    stock = ResNet(50).state_dict()
    backbone = ResNetWs(depth=50, expansion=2)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    stock = {k: torch.full_like(v, 0.5) if v.is_floating_point() else v for k, v in stock.items()}
    missing, unexpected = backbone.load_state_dict(stock, strict=False)
    assert {k.split('.')[0] for k in missing} == {'block2', 'block3', 'block4'}
    assert {k.split('.')[0] for k in unexpected} == {'layer2', 'layer3', 'layer4'}
    for key, value in backbone.state_dict().items():
        if not value.is_floating_point():
            continue
        if key.split('.')[0] in ('conv1', 'bn1', 'layer1'):
            assert (value == 0.5).all(), key
        else:
            assert torch.equal(value, before[key]), key


def test_four_frozen_stages_leave_no_gradient_and_fixed_batch_norm() -> None:
    backbone = ResNetWs(**SMALL, frozen_stages=4)
    assert backbone.train() is backbone
    assert not any(p.requires_grad for p in backbone.parameters())
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    output = backbone(torch.randn(2, 3, 64, 64))[0]
    assert not output.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())


@pytest.mark.parametrize('frozen', [-1, 0, 1, 2, 3])
def test_frozen_stages_freeze_the_stem_and_that_many_stages(frozen: int) -> None:
    backbone = ResNetWs(**SMALL, frozen_stages=frozen).train()
    parts = ['conv1', 'bn1', 'layer1', 'block2', 'block3', 'block4']
    for i, part in enumerate(parts):
        is_frozen = i <= frozen + 1 and frozen >= 0
        module = getattr(backbone, part)
        assert all(p.requires_grad != is_frozen for p in module.parameters()), part
        norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(m.training != is_frozen for m in norms), part


def test_frozen_stages_survive_in_the_attribute() -> None:
    assert ResNetWs(**SMALL, frozen_stages=3).frozen_stages == 3


def test_train_and_eval_return_the_module() -> None:
    backbone = ResNetWs(**SMALL)
    assert backbone.train() is backbone
    assert backbone.eval() is backbone
    assert not any(m.training for m in backbone.modules())


def test_stock_arguments_work() -> None:
    backbone = ResNetWs(
        **SMALL, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,), deep_stem=True,
        norm_eval=True, with_cp=True, zero_init_residual=True, style='caffe', drop_path_rate=0.1,
    ).train()  # fmt: skip
    assert not hasattr(backbone, 'block4')
    output = backbone(torch.randn(1, 3, 64, 64, requires_grad=True))[0]
    assert output.shape == (1, 64, 4, 4)
    output.sum().backward()
    assert backbone.block3[0].conv1.weight.grad is not None


def test_zero_init_residual_is_a_choice() -> None:
    backbone = ResNetWs(**SMALL, zero_init_residual=True)
    backbone.init_weights()
    last = [m.bn3.weight for m in backbone.modules() if hasattr(m, 'bn3')]
    assert last
    assert all((w == 0).all() for w in last)
