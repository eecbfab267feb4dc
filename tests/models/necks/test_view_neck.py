"""Neck of several views: a missing view has no say, positions are those of one view."""

import pytest
import torch
from einops import rearrange
from mmengine.registry import DefaultScope
from torch import Tensor

from models.necks.attention_maps import attention_maps
from models.necks.transformer_neck import TransformerNeck
from models.necks.view_neck import MultiViewTransformerNeck
from models.registry import MODELS

SETTINGS = dict(in_dims=8, out_dims=3, head_dim=4, pooling_size=4, map_size=(5, 4), forward_layer=True)


def neck(n_views: int = 2, **settings: object) -> MultiViewTransformerNeck:
    torch.manual_seed(0)
    return MultiViewTransformerNeck(n_views=n_views, **{**SETTINGS, **settings}).eval()


def maps(n_views: int, missing: tuple[int, ...] = ()) -> Tensor:
    """(2, 8, n_views * 5, 4), zero where a view is missing."""
    views = torch.randn(2, n_views, 8, 5, 4, generator=torch.Generator().manual_seed(1))
    views[:, list(missing)] = 0
    return rearrange(views, 'b v c h w -> b c (v h) w')


@pytest.mark.parametrize('is_lsa', [True, False])
@pytest.mark.parametrize('missing', [0, 1])
def test_with_one_view_and_no_embeddings_it_is_the_neck_of_single_images(is_lsa: bool, missing: int) -> None:
    several = neck(is_LSA=is_lsa, depth=2)
    single = TransformerNeck(**SETTINGS, is_LSA=is_lsa, depth=2).eval()
    odd = several.load_state_dict(single.state_dict(), strict=False)
    assert sorted(odd.missing_keys) == ['side_embedding', 'view_embedding']
    assert not odd.unexpected_keys
    torch.nn.init.zeros_(several.view_embedding)
    torch.nn.init.zeros_(several.side_embedding)
    feats = maps(2, (missing,))
    alone = feats[:, :, 5:] if missing == 0 else feats[:, :, :5]
    torch.testing.assert_close(several((feats,))[0], single((alone,))[0], atol=1e-5, rtol=1e-5)


def test_pooling_stays_within_a_view() -> None:
    feats, tall = maps(2), neck().pool(maps(2))
    assert tall.shape == (2, 8, 2 * 4, 3)
    torch.testing.assert_close(tall[:, :, 4:], neck().pool.module(feats[:, :, 5:]))


def test_views_and_sides_are_told_apart() -> None:
    for n_views in (2, 4):
        feats = maps(n_views)
        other = rearrange(feats, 'b c (v h) w -> b v c h w', v=n_views).flip(1)
        (first,), (second,) = (
            neck(n_views)((x,)) for x in (feats, rearrange(other, 'b v c h w -> b c (v h) w'))
        )
        assert not torch.allclose(first, second, atol=1e-5)


def test_attention_is_of_the_views_that_are_there_and_samples_do_not_mix() -> None:
    feats = maps(4, (1, 2))
    feats[1] = maps(4)[1]  # the second sample lacks nothing
    looked = attention_maps(neck(4, is_LSA=True), (feats,))  # (B, depth, heads, 4 * 4, 3)
    assert looked.shape == (2, 1, 2, 16, 3)
    assert (looked[0, ..., 4:12, :] == 0).all()
    assert (looked[1] > 0).all()
    torch.testing.assert_close(looked.sum(dim=(3, 4)), torch.ones(2, 1, 2))


def test_without_anything_to_see_numbers_are_finite() -> None:
    assert neck(2, is_LSA=True)((maps(2, (0, 1)),))[0].isfinite().all()


@pytest.mark.parametrize('n_views', [1, 3, 6])
def test_other_numbers_of_views_are_refused(n_views: int) -> None:
    with pytest.raises(ValueError, match=f'n_views is {n_views}, expected 2 or 4'):
        MultiViewTransformerNeck(n_views=n_views)


def test_backbone_sees_each_view_alone_and_black_views_are_missing() -> None:
    backbone = dict(type='ResNetWs', depth=50, stem_channels=8, base_channels=8, frozen_stages=4)
    with DefaultScope.overwrite_default_scope('mammo'):
        model = MODELS.build(
            dict(type='ImageTabClassifier', backbone=backbone, image_size=(96, 64),
                 neck=dict(type='MultiViewTransformerNeck', n_views=2, in_dims=None, pooling_size=4),
                 tasks=[dict(name='N', kind='binary')])
        ).eval()  # fmt: skip
    images = torch.randn(2, 3, 192, 64)
    images[1, :, 96:] = torch.tensor([-2.12, -2.04, -1.80])[:, None, None]  # black, each channel by its mean
    assert model.neck.grid == (2, 1)
    seen = model.maps(images)[-1]
    torch.testing.assert_close(seen[:, :, :3], model.folded(model.backbone, images[:, :, :96])[-1])
    assert (seen[1, :, 3:] == 0).all()
    assert seen[0, :, 3:].any()
    images[1, 0, 100, 0] = 1.0
    assert model.maps(images)[-1][1, :, 3:].any()
