"""Values that overflow or vanish in float16 leave losses and gradients finite under autocast."""

from typing import Any

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from models.necks.transformer_neck import TransformerNeck

HALF = pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])


def samples_of(labels: list[float]) -> list[DataSample]:
    samples = []
    for label in labels:
        sample = DataSample()
        sample.set_field(torch.tensor([label]), 'gt_label')
        samples.append(sample)
    return samples


def finite_with_gradient(loss: Tensor, *inputs: Tensor) -> bool:
    loss.sum().backward()
    return bool(loss.isfinite().all()) and all(bool(x.grad.isfinite().all()) for x in inputs)


@HALF
def test_squared_error_of_large_targets_is_exact(dtype: torch.dtype) -> None:
    head = MODELS.build(dict(type='RegressionTaskHead', task_idx=0))
    feats = torch.full((2, 1), 1.0, dtype=dtype, requires_grad=True)
    with torch.autocast('cpu', dtype):
        loss = head.loss((feats,), samples_of([1001.0, 2001.0]))['loss']
    assert loss.item() == pytest.approx((1000**2 + 2000**2) / 2, rel=1e-6)


@HALF
def test_cross_entropy_of_large_logits_is_exact(dtype: torch.dtype) -> None:
    head = MODELS.build(dict(type='BinaryTaskHead', task_idx=0))
    feats = torch.tensor([[512.0], [-512.0]], dtype=dtype, requires_grad=True)
    with torch.autocast('cpu', dtype):
        loss = head.loss((feats,), samples_of([0.0, 1.0]))['loss']
    assert loss.item() == pytest.approx(512)
    assert finite_with_gradient(loss, feats)


@HALF
def test_masked_attention_of_large_scores_is_finite(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    neck = TransformerNeck(
        in_dims=32, out_dims=2, num_heads=2, head_dim=16, pooling_size=4, is_LSA=True, map_size=(3, 3)
    ).eval()
    maps = (100 * torch.randn(2, 32, 3, 3)).requires_grad_()
    with torch.autocast('cpu', dtype):
        out = neck((maps,))[-1]
    assert finite_with_gradient(out.float(), maps)


@HALF
@pytest.mark.parametrize('scale', [1e-4, 1.0, 1e4])
def test_pretraining_losses_are_those_of_float32(dtype: torch.dtype, scale: float) -> None:
    torch.manual_seed(0)
    heads: dict[str, Any] = dict(
        barlowtwins=MODELS.build(
            dict(type='LatentCrossCorrelationHead', in_channels=8, loss=dict(type='CrossCorrelationLoss'))
        ),
        byol=MODELS.build(dict(type='CosineSimilarityLoss')),
    )
    first, second = (scale * torch.randn(16, 8) for _ in range(2))
    for head in heads.values():
        apply = getattr(head, 'loss', head)
        expected = apply(first, second)
        with torch.autocast('cpu', dtype):
            assert torch.allclose(apply(first, second), expected, rtol=1e-5)


@HALF
def test_swav_assignments_of_close_prototypes_are_finite(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    loss = MODELS.build(
        dict(
            type='SwAVLoss', feat_dim=8, num_prototypes=300, epsilon=0.005, temperature=0.01, num_crops=[2, 2]
        )
    )
    x = torch.nn.functional.normalize(torch.randn(4 * 4, 8), dim=1).requires_grad_()
    with torch.autocast('cpu', dtype):
        value = loss(x)
    assert finite_with_gradient(value, x)
