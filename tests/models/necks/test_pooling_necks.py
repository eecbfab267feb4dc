"""Necks that begin as average pooling: what they are before the first step, and that they can leave it."""

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from models import AttentionPoolingNeck, MeanTokenTransformerNeck, StandardisedPoolingNeck

SMALL = dict(in_dims=16, out_dims=3, depth=2, num_heads=2, head_dim=8, pooling_size=2, map_size=(13, 9))


@pytest.mark.parametrize('forward_layer', [True, False])
def test_the_mean_token_transformer_begins_as_the_normalised_mean_of_its_tokens(forward_layer: bool) -> None:
    torch.manual_seed(0)
    neck = MeanTokenTransformerNeck(**SMALL, forward_layer=forward_layer, ff_hidden_layer=True).eval()
    feats = torch.randn(2, 16, 13, 9)
    mean = neck.pool(feats).mean(dim=(2, 3))
    expected = neck.fc(nn.functional.layer_norm(mean, (16,)))
    torch.testing.assert_close(neck((feats,))[0], expected, atol=1e-5, rtol=0)


def test_all_of_the_mean_token_transformer_learns_after_two_steps() -> None:
    torch.manual_seed(0)
    neck = MeanTokenTransformerNeck(**SMALL, forward_layer=True, ff_hidden_layer=True, is_LSA=True)
    before = {name: value.clone() for name, value in neck.named_parameters()}
    optimizer = torch.optim.AdamW(neck.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(3):
        optimizer.zero_grad()
        neck((torch.randn(4, 16, 13, 9),))[0].pow(2).sum().backward()
        optimizer.step()
    unchanged = [name for name, value in neck.named_parameters() if torch.equal(value, before[name])]
    assert unchanged == []


def test_attention_pooling_begins_as_average_pooling_and_can_choose_one_cell() -> None:
    torch.manual_seed(0)
    neck = AttentionPoolingNeck(in_channels=8, out_channels=2)
    feats = torch.randn(1, 8, 3, 4)
    torch.testing.assert_close(neck((feats,))[0], neck.fc(feats.mean(dim=(2, 3))))
    cell = feats[0, :, 1, 2]
    with torch.no_grad():
        neck.score.weight.copy_(
            1000 * neck.norm(cell)[None]
        )  # of all normalised cells the most alike is itself
    torch.testing.assert_close(neck((feats,))[0][0], neck.fc(cell))


def standardised(neck: StandardisedPoolingNeck, feats: torch.Tensor) -> torch.Tensor:
    """What its linear layer reads."""
    neck.fc = nn.Identity()  # type: ignore[assignment]
    return neck((feats,))[0]


def test_standardised_pooling_reads_channels_of_any_range_alike() -> None:
    torch.manual_seed(0)
    feats, ranges = torch.randn(32, 8, 3, 4), torch.logspace(-2, 3, 8)[None, :, None, None]
    values = standardised(StandardisedPoolingNeck(in_channels=8, out_channels=2), feats * ranges + 5 * ranges)
    torch.testing.assert_close(values.mean(dim=0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std(dim=0, correction=0), torch.ones(8), atol=0.1, rtol=0)


def test_standardised_pooling_learns_from_a_last_batch_of_one_image() -> None:
    neck = StandardisedPoolingNeck(in_channels=8, out_channels=2).train()
    feats = torch.randn(1, 8, 3, 4)
    torch.testing.assert_close(standardised(neck, feats), feats.mean(dim=(2, 3)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    'name', ['MeanTokenTransformerNeck', 'AttentionPoolingNeck', 'StandardisedPoolingNeck']
)
def test_widths_follow_from_backbone_and_tasks(name: str) -> None:
    tasks = [dict(name='a', kind='binary'), dict(name='b', kind='regression')]
    backbone = dict(type='ResNetWs', depth=50, base_channels=4, stem_channels=4)
    cfg = dict(
        type='ImageTabClassifier', backbone=backbone, neck=dict(type=name), tasks=tasks, image_size=(256, 256)
    )
    model = MODELS.build(cfg).eval()
    assert model.extract_feat(torch.zeros(1, 3, 256, 256))[0].shape == (1, 2)
