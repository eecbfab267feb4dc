"""Depthwise neck: sizes, block structure, pooling of odd maps."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.necks.dwise_neck import DwiseConvResBlockPooling, DwiseResBlock


def test_full_size_has_published_names_and_shapes(compat: Path) -> None:
    published = json.loads((compat / 'published_state_dict_keys.json').read_text())['neck_dwise']
    neck = DwiseConvResBlockPooling(1024, 5, 2, 8)
    assert {k: list(v.shape) for k, v in neck.state_dict().items()} == published


def test_full_size_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in DwiseConvResBlockPooling(1024, 5, 2, 8).parameters()) == 536_837


def test_block_equals_an_independent_implementation() -> None:
    torch.manual_seed(0)
    block = DwiseResBlock(16, expansion_ratio=8).eval()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 16, 7, 5)

    def norm(values: torch.Tensor, module: nn.BatchNorm2d) -> torch.Tensor:
        shape = (1, -1, 1, 1)
        scale = (module.weight / (module.running_var + module.eps).sqrt()).view(shape)
        return (values - module.running_mean.view(shape)) * scale + module.bias.view(shape)

    inner = norm(torch.einsum('bchw,oc->bohw', x, block.conv1[0].weight[:, :, 0, 0]), block.conv1[1]).relu()
    strided = F.conv2d(inner, block.conv2[0].weight, stride=2, padding=1, groups=2)
    middle = norm(strided, block.conv2[1]).relu()
    out = norm(torch.einsum('bchw,oc->bohw', middle, block.conv3[0].weight[:, :, 0, 0]), block.conv3[1])
    cells = [[x[:, :, i : i + 2, j : j + 2].mean(dim=(2, 3)) for j in range(0, 5, 2)] for i in range(0, 7, 2)]
    identity = torch.stack([torch.stack(row, dim=-1) for row in cells], dim=-2)  # edges: only what is there
    assert torch.allclose(block(x), (identity + out).relu(), atol=1e-5)


@pytest.mark.parametrize('size', [(1, 1), (7, 4), (16, 16), (5, 9)])
@pytest.mark.parametrize('num_block', [1, 2, 3])
def test_any_map_size_gives_one_number_per_task(size: tuple, num_block: int) -> None:
    neck = DwiseConvResBlockPooling(16, 5, num_block).eval()
    assert neck((torch.randn(2, 16, *size),))[0].shape == (2, 5)


def test_linear_layer_is_left_out_for_equal_widths() -> None:
    assert isinstance(DwiseConvResBlockPooling(16, 16).fc, nn.Identity)


def test_only_the_last_map_is_read() -> None:
    neck = DwiseConvResBlockPooling(16, 5).eval()
    last = torch.randn(1, 16, 8, 8)
    assert torch.equal(neck((torch.randn(1, 4, 8, 8), last))[0], neck((last,))[0])


def test_dropout_rate_is_the_published_one() -> None:
    assert {m.p for m in DwiseConvResBlockPooling(16, 5).modules() if isinstance(m, nn.Dropout)} == {0.2}
