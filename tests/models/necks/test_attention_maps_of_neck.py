"""Class-token attention: against the neck's own output, an oracle, and token position."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from models.necks.attention_maps import attention_maps, class_row
from models.necks.transformer import Attention
from models.necks.transformer_neck import TransformerNeck

SMALL = dict(
    in_dims=16, out_dims=5, depth=2, num_heads=2, head_dim=4, pooling_size=2, forward_layer=True,
    ff_hidden_layer=True, is_LSA=True,
)  # fmt: skip


def attended(attention: Attention, x: Tensor, row: Tensor) -> Tensor:
    """What the class token becomes if it takes the values with weights ``row`` (B, heads, N - 1)."""
    *_, v, _ = attention.scaled_qkv(x)
    own = 1 - row.sum(-1, keepdim=True)
    out = torch.cat([own, row], dim=2).unsqueeze(2) @ v  # (B, heads, 1, head_dim)
    return attention.to_out(out[:, :, 0].flatten(1))


@pytest.mark.parametrize('is_lsa', [True, False])
def test_weights_reproduce_what_the_forward_pass_computes(is_lsa: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(16, heads=2, head_dim=4, is_lsa=is_lsa).eval()
    x = torch.randn(3, 7, 16)
    row = class_row(attention, x)
    assert row.shape == (3, 2, 6)
    torch.testing.assert_close(attended(attention, x, row), attention(x)[:, 0], atol=1e-6, rtol=1e-5)


def test_locality_attention_sums_to_one_and_plain_attention_to_less() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, 16)
    sums = {
        lsa: class_row(Attention(16, heads=2, head_dim=4, is_lsa=lsa), x).sum(-1) for lsa in (True, False)
    }
    torch.testing.assert_close(sums[True], torch.ones(3, 2))
    assert (sums[False] < 1).all()


@pytest.mark.parametrize('forward_layer', [True, False])
@pytest.mark.parametrize(('map_size', 'grid'), [((56, 32), (18, 16)), ((31, 20), (10, 10))])
def test_maps_have_the_token_grid_of_any_image(
    map_size: tuple[int, int], grid: tuple[int, int], forward_layer: bool
) -> None:
    neck = TransformerNeck(**{**SMALL, 'forward_layer': forward_layer}).eval()
    maps = attention_maps(neck, (torch.randn(2, 16, *map_size),))
    assert maps.shape == (2, 2, 2, *grid)
    torch.testing.assert_close(maps.sum((3, 4)), torch.ones(2, 2, 2))


def test_a_token_that_matches_the_class_query_is_found_at_its_row_and_column() -> None:
    torch.manual_seed(0)
    neck = TransformerNeck(**{**SMALL, 'depth': 1, 'num_heads': 1, 'head_dim': 16}).eval()
    block = neck.transformer.layers[0][0]
    with torch.no_grad():
        neck.pos_embedding.zero_()
        neck.cls_token.copy_(torch.arange(16.0))
        weight = torch.eye(16)
        block.to_qkv.weight.copy_(torch.cat([weight, weight, weight]))
    feats = torch.zeros(1, 16, 56, 32)
    feats[0, :, 30:34, 9:12] = torch.arange(16.0)[:, None, None]  # pool (4, 3) / (3, 2): token (10, 5)
    where = attention_maps(neck, (feats,))[0, 0, 0]
    assert divmod(int(where.argmax()), where.shape[1]) == (10, 5)


def test_reading_the_maps_leaves_the_neck_as_it_was() -> None:
    torch.manual_seed(0)
    neck = TransformerNeck(**SMALL).eval()
    feats = (torch.randn(2, 16, 56, 32),)
    before = neck(feats)[0]
    attention_maps(neck, feats)
    assert torch.equal(before, neck(feats)[0])
    assert not any(module._forward_pre_hooks for module in neck.modules())


def test_maps_of_the_published_weights_explain_the_published_output(compat: Path) -> None:
    case = 'transformer_full_1792x1024'
    arrays = np.load(compat / f'{case}.npz')
    neck = MODELS.build(json.loads((compat / 'manifest.json').read_text())[case]['config']).eval()
    neck.load_state_dict(
        {k[6:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith('param/')}, strict=True
    )
    feats = torch.from_numpy(arrays['input'])
    attention, feed_forward = neck.transformer.layers[0]
    tokens = neck.pool(feats).flatten(2).transpose(1, 2)
    x = torch.cat([neck.cls_token.expand(len(feats), 1, -1), tokens], dim=1) + neck.pos_embedding
    row = attention_maps(neck, (feats,))[:, 0].flatten(2)
    out = x[:, 0] + attended(attention, x, row)
    out = neck.fc(neck.transformer.norm(out + feed_forward(out)))
    assert (out - torch.from_numpy(arrays['output_0'])).abs().max() < 1e-5
