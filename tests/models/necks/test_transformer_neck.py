"""Transformer neck: published numbers, an independent attention, masks, token grids, resampling."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from models.necks.transformer import Attention
from models.necks.transformer_neck import TransformerNeck

CONFIGURED = dict(
    in_dims=1024, out_dims=5, depth=1, num_heads=8, head_dim=64, pooling_size=2, forward_layer=True,
    ff_hidden_layer=True, is_LSA=True,
)  # fmt: skip
SMALL = dict(CONFIGURED, in_dims=16, num_heads=2, head_dim=4)


def attention_oracle(module: Attention, x: Tensor) -> Tensor:
    """Attention of SPEC 4 written out, one head and one token after the other; (N, C) -> (N, C)."""
    normed = nn.functional.layer_norm(x, x.shape[-1:], module.norm.weight, module.norm.bias)
    qkv = normed @ module.to_qkv.weight.T
    head_dim = qkv.shape[1] // 3 // module.heads
    rows = []
    for i in range(len(x)):
        of_heads = []
        for h in range(module.heads):
            q, k, v = (qkv[:, (part * module.heads + h) * head_dim :][:, :head_dim] for part in range(3))
            scale = module.scale[h] if module.is_lsa else head_dim**-0.5
            others = [j for j in range(len(x)) if not (module.is_lsa and j == i)]
            weights = torch.softmax(torch.stack([(q[i] * k[j]).sum() * scale for j in others]), dim=0)
            of_heads.append(sum(w * v[j] for w, j in zip(weights, others, strict=True)))
        rows.append(torch.cat(of_heads))
    out = torch.stack(rows)
    if isinstance(module.to_out, nn.Identity):
        return out
    return out @ module.to_out[0].weight.T + module.to_out[0].bias


def test_weights_start_as_the_config_says() -> None:
    neck = TransformerNeck(**SMALL, init_cfg=dict(type='Constant', layer='Linear', val=0.5))
    neck.init_weights()
    assert (neck.fc.weight == 0.5).all()


@pytest.mark.parametrize(
    'case',
    ['transformer_full_1792x1024', 'transformer_roi_500', 'transformer_full_896x512_plain', 'dwise_full'],
)
def test_neck_agrees_with_published_numbers(compat: Path, case: str) -> None:
    config = json.loads((compat / 'manifest.json').read_text())[case]['config']
    arrays = np.load(compat / f'{case}.npz')
    neck = MODELS.build(config)
    neck.load_state_dict(
        {k[6:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith('param/')}, strict=True
    )
    output = neck.eval()((torch.from_numpy(arrays['input']),))
    assert isinstance(output, tuple)
    assert (output[0] - torch.from_numpy(arrays['output_0'])).abs().max() < 1e-5


def test_full_size_has_published_names_and_shapes(compat: Path) -> None:
    published = json.loads((compat / 'published_state_dict_keys.json').read_text())['neck_transformer']
    assert {k: list(v.shape) for k, v in TransformerNeck(**CONFIGURED).state_dict().items()} == published


def test_full_size_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in TransformerNeck(**CONFIGURED).parameters()) == 4_505_613


@pytest.mark.parametrize(
    ('pooling_size', 'map_size', 'grid'),
    [(2, (56, 32), (18, 16)), (3, (28, 16), (14, 15)), (4, (16, 16), (15, 15)), (1, (16, 16), (15, 15))],
)
def test_token_counts_are_those_of_the_published_table(
    pooling_size: int, map_size: tuple, grid: tuple
) -> None:
    neck = TransformerNeck(in_dims=8, out_dims=3, pooling_size=pooling_size, head_dim=4)
    assert neck.grid == grid
    assert neck.pos_embedding.shape == (1, grid[0] * grid[1] + 1, 8)
    assert neck.pool(torch.zeros(1, 8, *map_size)).shape[2:] == grid


def test_class_defaults_are_the_published_ones() -> None:
    neck = TransformerNeck(in_dims=16)
    assert neck.fc.out_features == 5
    attention = neck.transformer.layers[0]
    plain = TransformerNeck(in_dims=16, forward_layer=True).transformer.layers[0][1].net
    assert len(plain) == 3  # no hidden layer
    assert isinstance(attention, Attention)  # no feed-forward
    assert attention.heads == 2
    assert not attention.is_lsa
    assert attention.to_qkv.weight.shape == (3 * 2 * 64, 16)
    assert neck.grid == (15, 15)


@pytest.mark.parametrize('is_lsa', [True, False])
@pytest.mark.parametrize(('heads', 'head_dim'), [(3, 4), (1, 12)])
def test_attention_equals_an_independent_implementation(is_lsa: bool, heads: int, head_dim: int) -> None:
    torch.manual_seed(0)
    attention = Attention(12, heads=heads, head_dim=head_dim, is_lsa=is_lsa).eval()
    if is_lsa:
        attention.scale.data = torch.linspace(0.3, 2.0, heads)  # a scale per head
    x = 3 * torch.randn(2, 7, 12)
    expected = torch.stack([attention_oracle(attention, sample) for sample in x])
    assert torch.allclose(attention(x), expected, atol=1e-5)


def test_lsa_scale_is_learned_per_head_and_starts_at_the_usual_value() -> None:
    attention = Attention(12, heads=3, head_dim=4, is_lsa=True)
    assert isinstance(attention.scale, nn.Parameter)
    assert attention.scale.tolist() == pytest.approx([0.5] * 3)
    attention(torch.randn(1, 5, 12)).square().sum().backward()
    assert (attention.scale.grad != 0).all()
    assert 'scale' not in Attention(12, heads=3, head_dim=4, is_lsa=False).state_dict()


def test_output_projection_is_left_out_only_for_one_head_of_full_width() -> None:
    assert isinstance(Attention(12, heads=1, head_dim=12, is_lsa=False).to_out, nn.Identity)
    assert not isinstance(Attention(12, heads=1, head_dim=6, is_lsa=False).to_out, nn.Identity)
    assert not isinstance(Attention(12, heads=2, head_dim=12, is_lsa=False).to_out, nn.Identity)


@pytest.mark.parametrize('is_lsa', [True, False])
def test_with_lsa_a_token_does_not_see_its_own_value(is_lsa: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(8, heads=2, head_dim=4, is_lsa=is_lsa).eval()
    values = torch.zeros(1, 5, 8, requires_grad=True)  # added to the value vectors of all tokens

    def add_to_values(_module: nn.Module, _args: tuple, qkv: Tensor) -> Tensor:
        return torch.cat([qkv[..., :16], qkv[..., 16:] + values], dim=-1)

    attention.to_qkv.register_forward_hook(add_to_values)
    output = attention(torch.randn(1, 5, 8))
    for token in range(5):
        (gradient,) = torch.autograd.grad(output[0, token].sum(), values, retain_graph=True)
        touched = gradient[0].abs().sum(dim=1) > 0
        expected = [j != token or not is_lsa for j in range(5)]  # the class token included
        assert touched.tolist() == expected


@pytest.mark.parametrize('is_lsa', [True, False])
def test_attention_is_equivariant_to_token_order(is_lsa: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(8, heads=2, head_dim=4, is_lsa=is_lsa).eval()
    x, order = torch.randn(2, 9, 8), torch.randperm(9)
    assert torch.allclose(attention(x)[:, order], attention(x[:, order]), atol=1e-6)


def test_feed_forward_hidden_layer_is_1024_wide_and_optional() -> None:
    hidden = TransformerNeck(**SMALL).transformer.layers[0][1].net
    assert [type(m) for m in hidden] == [
        nn.LayerNorm, nn.Linear, nn.GELU, nn.Dropout, nn.Linear, nn.Dropout
    ]  # fmt: skip
    assert hidden[1].out_features == hidden[4].in_features == 1024
    plain = TransformerNeck(**dict(SMALL, ff_hidden_layer=False)).transformer.layers[0][1].net
    assert [type(m) for m in plain] == [nn.LayerNorm, nn.Linear, nn.Dropout]
    assert {m.p for net in (hidden, plain) for m in net if isinstance(m, nn.Dropout)} == {0.3}


def test_without_feed_forward_the_attention_is_the_layer() -> None:
    keys = TransformerNeck(**dict(SMALL, forward_layer=False, depth=2)).state_dict()
    assert 'transformer.layers.1.to_qkv.weight' in keys
    assert not any('.net.' in key for key in keys)


def test_neck_is_the_sum_of_its_parts() -> None:
    """Pool, flatten row by row, class token first, positions, residual blocks, norm, linear."""
    torch.manual_seed(0)
    neck = TransformerNeck(**dict(SMALL, depth=2, map_size=(13, 9))).eval()
    feature_map = torch.randn(1, 16, 13, 9)
    pooled = nn.functional.avg_pool2d(feature_map, (4, 3), (3, 2), (0, 1))
    tokens = torch.stack([pooled[0, :, row, column] for row in range(4) for column in range(5)])
    x = torch.cat([neck.cls_token[0], tokens]) + neck.pos_embedding[0]
    for attention, feed_forward in neck.transformer.layers:
        x = x + attention_oracle(attention, x)
        x = x + feed_forward.net(x)
    expected = neck.fc(neck.transformer.norm(x)[0])
    assert torch.allclose(neck((feature_map,))[0][0], expected, atol=1e-4)


def test_only_the_last_map_is_read() -> None:
    neck = TransformerNeck(**SMALL).eval()
    last = torch.randn(1, 16, 56, 32)
    assert torch.equal(neck((torch.randn(1, 4, 8, 8), last))[0], neck((last,))[0])


def test_samples_do_not_influence_each_other() -> None:
    neck = TransformerNeck(**SMALL).eval()
    x = torch.randn(3, 16, 56, 32)
    alone = torch.cat([neck((sample[None],))[0] for sample in x])
    assert torch.allclose(neck((x,))[0], alone, atol=1e-5)


def test_dropout_is_active_in_training_only() -> None:
    neck, x = TransformerNeck(**SMALL), (torch.randn(1, 16, 56, 32),)
    assert not torch.equal(neck.train()(x)[0], neck(x)[0])
    assert torch.equal(neck.eval()(x)[0], neck(x)[0])
    assert neck.dropout.p == 0.2


def test_a_fifth_of_the_values_of_all_tokens_is_dropped_with_their_positions() -> None:
    torch.manual_seed(0)
    neck, seen = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(9, 7))), []
    neck.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = (torch.randn(200, 16, 9, 7),)
    neck.train()(x)
    neck.eval()(x)
    dropped, whole = seen
    kept = dropped != 0
    assert torch.allclose(dropped[kept], whole[kept] / 0.8)
    for tokens in (kept[:, :1], kept[:, 1:]):  # class token, and those of the image
        assert tokens.float().mean() == pytest.approx(0.8, abs=0.03)


def test_attention_weights_are_dropped_in_training() -> None:
    attention = Attention(8, heads=1, head_dim=8, is_lsa=False).train()  # no output dropout here
    x = torch.randn(1, 9, 8)
    assert not torch.equal(attention(x), attention(x))
    assert torch.equal(attention.eval()(x), attention(x))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_gives_finite_values_close_to_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    neck, x = TransformerNeck(**SMALL).eval(), (torch.randn(2, 16, 56, 32),)
    with torch.autocast('cpu', dtype):
        output = neck(x)[0]
    assert torch.isfinite(output).all()
    assert torch.allclose(output.float(), neck(x)[0], atol=0.1)


def test_half_precision_gradients_are_finite() -> None:
    neck = TransformerNeck(**SMALL).train()
    with torch.autocast('cpu', torch.bfloat16):
        loss = neck((torch.randn(2, 16, 56, 32),))[0].float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in neck.parameters())


def test_positions_are_resampled_for_other_image_sizes() -> None:
    neck = TransformerNeck(**SMALL).eval()
    assert neck((torch.randn(2, 16, 40, 24),))[0].shape == (2, 5)


def test_resampled_positions_keep_class_token_and_layout() -> None:
    """A ramp over rows stays a ramp over rows, and does not vary over columns."""
    neck = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(9, 7)))  # 8 x 6 tokens
    ramp = torch.linspace(0, 1, 8)[:, None].expand(8, 6).reshape(-1)
    neck.pos_embedding.data[0, 1:] = ramp[:, None].expand(-1, 16)
    positions = neck._positions((16, 3))
    assert positions.shape == (1, 49, 16)
    assert torch.equal(positions[:, 0], neck.pos_embedding[:, 0])
    resampled = positions[0, 1:, 0].reshape(16, 3)
    assert torch.allclose(resampled, resampled[:, :1].expand(16, 3), atol=1e-5)
    assert (resampled[1:, 0] > resampled[:-1, 0]).all()


def test_a_ramp_over_twice_as_many_tokens_goes_on_at_half_the_step() -> None:
    """Centres of tokens keep their place on the breast: those of the new grid lie at quarters of the old."""
    neck = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(9, 7)))  # 8 x 6 tokens
    neck.pos_embedding.data[0, 1:] = torch.arange(8.0).repeat_interleave(6)[:, None].expand(-1, 16)
    rows = neck._positions((16, 6))[0, 1:, 0].reshape(16, 6)[:, 2]
    inside = slice(4, 12)  # bicubic interpolation is exact there
    assert torch.allclose(rows[inside], (torch.arange(16) + 0.5)[inside] / 2 - 0.5, atol=1e-4)


def test_fewer_tokens_average_over_the_positions_between_them() -> None:
    """Without antialiasing every third of alternating rows would be taken as it is."""
    neck = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(31, 7)))  # 30 x 6 tokens
    signs = torch.tensor([1.0, -1.0]).repeat(15).repeat_interleave(6)
    neck.pos_embedding.data[0, 1:] = signs[:, None].expand(-1, 16)
    assert neck._positions((5, 6))[0, 1:].abs().max() < 0.1


def test_positions_between_tokens_follow_a_cubic_which_overshoots() -> None:
    neck = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(9, 7)))  # 8 x 6 tokens
    neck.pos_embedding.data[0, 1:] = 0
    neck.pos_embedding.data[0, 1 + 3 * 6 + 2] = 1
    assert neck._positions((16, 12))[0, 1:].min() < -0.05


def test_pooled_maps_are_read_as_tokens_and_only_the_last() -> None:
    neck = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(9, 7))).eval()
    pooled = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(9, 7)), pooled=True).eval()
    pooled.load_state_dict(neck.state_dict())
    x = torch.randn(2, 16, 9, 7)
    earlier = torch.zeros(2, 16, 3, 3)
    assert torch.equal(pooled((earlier, earlier, neck.pool(x)))[0], neck((x,))[0])


def test_a_map_as_large_as_the_pool_is_one_token() -> None:
    neck = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(2, 2))).eval()
    assert neck.grid == (1, 1)
    assert neck((torch.randn(1, 16, 2, 3),))[0].shape == (1, 5)
    assert neck((torch.randn(1, 16, 3, 2),))[0].shape == (1, 5)
    for size in ((1, 2), (2, 1)):
        with pytest.raises(ValueError, match='use larger images or another pooling_size'):
            neck((torch.zeros(1, 16, *size),))


def test_resampled_positions_pass_gradients() -> None:
    neck = TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(9, 7)))
    neck((torch.randn(1, 16, 12, 12),))[0].sum().backward()
    assert (neck.pos_embedding.grad != 0).any(dim=-1).all()


def test_map_size_sets_the_number_of_positions() -> None:
    assert TransformerNeck(**dict(SMALL, pooling_size=4, map_size=(7, 4))).pos_embedding.shape[1] == 6 * 3 + 1
    assert TransformerNeck(**dict(SMALL, pooling_size=4, map_size=[7, 4])).grid == (6, 3)  # as JSON has it


def test_unknown_pooling_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r'pooling_size is 5, expected one of \[1, 2, 3, 4\]'):
        TransformerNeck(in_dims=8, out_dims=5, pooling_size=5)


def test_too_small_map_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r'map of \(3, 3\) is smaller than the pool'):
        TransformerNeck(in_dims=8, out_dims=5, pooling_size=2, map_size=(3, 3))


def test_too_small_feature_map_is_refused() -> None:
    neck = TransformerNeck(in_dims=8, out_dims=5, pooling_size=2)
    with pytest.raises(ValueError, match=r'map of .*3.*3.* is smaller than the pool'):
        neck((torch.zeros(1, 8, 3, 3),))


def test_initial_scale_is_the_inverse_root_of_the_head_width() -> None:
    attention = TransformerNeck(**CONFIGURED).transformer.layers[0][0]
    assert attention.scale.tolist() == pytest.approx([1 / math.sqrt(64)] * 8)
