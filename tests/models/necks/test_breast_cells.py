"""Necks that read the breast alone: which cells those are, and that no other has a say."""

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from models import (
    AttentionPoolingNeck,
    MeanTokenTransformerNeck,
    MultiViewTransformerNeck,
    StandardisedPoolingNeck,
    TransformerNeck,
)
from models.classifier import ImageTabClassifier
from models.necks.attention_maps import attention_maps
from models.necks.breast_cells import PoolOfShown, breast_cells, mean_of_shown

BLACK = -2.0  # after normalisation
CELL_PX = 4
TOKENS = dict(in_dims=8, out_dims=3, head_dim=4, pooling_size=4, map_size=(9, 8), depth=2, forward_layer=True)
NECKS = [
    TransformerNeck(**TOKENS, breast_margin=0),
    TransformerNeck(**TOKENS, is_LSA=True, breast_margin=0),
    MeanTokenTransformerNeck(**TOKENS, breast_margin=0),
    MultiViewTransformerNeck(**TOKENS, breast_margin=0),
    AttentionPoolingNeck(8, 3, breast_margin=0),
    StandardisedPoolingNeck(8, 3, breast_margin=0),
]


def breast(rows: slice, columns: slice) -> Tensor:
    """(1, 3, 36, 32) of 9 x 8 cells, tissue in these cells."""
    cells = torch.zeros(9, 8)
    cells[rows, columns] = 1
    tissue = cells.repeat_interleave(CELL_PX, 0).repeat_interleave(CELL_PX, 1)
    grey = torch.rand(36, 32, generator=torch.Generator().manual_seed(0)) + BLACK + 0.1
    return torch.where(tissue > 0, grey, BLACK).expand(1, 3, -1, -1)


def names(neck: nn.Module) -> str:
    return type(neck).__name__


@pytest.mark.parametrize(
    ('margin', 'rows', 'columns'),
    [(0, slice(2, 8), slice(0, 5)), (1, slice(3, 7), slice(0, 4)), (2, slice(4, 6), slice(0, 3))],
)
def test_a_margin_leaves_out_the_edge_but_not_at_the_chest_wall(
    margin: int, rows: slice, columns: slice
) -> None:
    expected = torch.zeros(9, 8, dtype=torch.bool)
    expected[rows, columns] = True
    cells = breast_cells(breast(slice(2, 8), slice(0, 5)), (9, 8), margin)
    assert torch.equal(cells[0, 0], expected)


def test_a_cell_that_is_partly_background_is_left_out_and_one_of_few_dark_pixels_is_not() -> None:
    image = breast(slice(0, 9), slice(0, 5)).clone()
    image[..., 0:4, 0] = BLACK  # a quarter of the first cell
    image[..., 8, 8] = BLACK  # one pixel of another
    cells = breast_cells(image, (9, 8), 0)[0, 0]
    assert not cells[0, 0]
    assert cells[2, 2]


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(ValueError, match='breast_margin is -1, expected'):
        breast_cells(breast(slice(None), slice(None)), (9, 8), -1)


def test_an_image_without_background_is_breast_everywhere() -> None:
    image = breast(slice(None), slice(None))
    assert breast_cells(image, (9, 8), 2).all()


@pytest.mark.parametrize('channels', [1, 3])
def test_channels_may_be_normalised_each_by_its_own_mean(channels: int) -> None:
    image = breast(slice(2, 8), slice(0, 5))
    mean, std = (
        torch.tensor([0.2, -0.1, 0.7])[:channels, None, None],
        torch.tensor([1.2, 0.9, 1.0])[:channels, None, None],
    )
    normalised = (image[:, :channels] - mean) / std
    assert torch.equal(breast_cells(normalised, (9, 8), 1), breast_cells(image, (9, 8), 1))


def test_of_a_breast_narrower_than_the_margin_its_middle_is_left_and_of_less_than_a_cell_the_image() -> None:
    narrow, wide = breast(slice(1, 8), slice(3, 6)), breast(slice(0, 9), slice(0, 8))
    cells = breast_cells(torch.cat([narrow, wide]), (9, 8), 3)
    assert cells[0, 0].nonzero().tolist() == [[2 + row, 4] for row in range(5)]  # as with a margin of one
    assert cells[1].all()
    dot = torch.full((1, 3, 36, 32), BLACK)
    dot[..., 10:12, 10:12] = 1
    assert breast_cells(dot, (9, 8), 1).all()


def test_each_image_of_a_batch_has_its_own_background() -> None:
    images = torch.cat([breast(slice(2, 8), slice(0, 5)), 3 * breast(slice(0, 4), slice(3, 8)) - 1])
    for i, image in enumerate(images):
        assert torch.equal(breast_cells(images, (9, 8), 1)[i], breast_cells(image[None], (9, 8), 1)[0])


def test_the_pool_takes_means_of_the_cells_shown() -> None:
    maps = torch.randn(1, 8, 4, 3)
    maps[..., :, 1:] = 0
    maps[..., 2:, :] = 0
    pooled = PoolOfShown((2, 3), (2, 3), (0, 0))(maps)
    torch.testing.assert_close(pooled[0, :, 0, 0], maps[0, :, :2, 0].mean(dim=1))
    assert (pooled[0, :, 1, 0] == 0).all()
    full = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(PoolOfShown((2, 3), (2, 3), (0, 0))(full), nn.AvgPool2d((2, 3))(full))


def test_the_mean_is_over_what_is_shown_and_is_finite_where_nothing_is() -> None:
    cells = torch.randn(2, 5, 8)
    cells[0, 2:] = 0
    cells[1] = 0
    means = mean_of_shown(cells)
    torch.testing.assert_close(means[0], cells[0, :2].mean(dim=0))
    assert (means[1] == 0).all()


def maps_of_breast() -> Tensor:
    """(2, 8, 18, 8): two views of 9 x 8 cells, zero outside rows 2 to 7 and columns 0 to 4."""
    views = torch.zeros(2, 2, 8, 9, 8)
    views[..., 2:8, 0:5] = torch.randn(2, 2, 8, 6, 5, generator=torch.Generator().manual_seed(1))
    return rearrange(views, 'b v c h w -> b c (v h) w')


@pytest.mark.parametrize('neck', [n for n in NECKS if hasattr(n, 'pos_embedding')], ids=names)
def test_no_position_outside_the_breast_has_a_say(neck: TransformerNeck) -> None:
    torch.manual_seed(0)
    nn.init.normal_(neck.pos_embedding)
    for layer in neck.transformer.layers:
        for part in layer:
            for parameter in part.parameters():
                nn.init.normal_(parameter, std=0.3)
    maps = maps_of_breast()
    maps = maps if hasattr(neck, 'n_views') else maps[:, :, :9]
    neck.eval()((maps,))[0].sum().backward()
    used = neck.pos_embedding.grad[0, 1:].abs().sum(dim=1).view(*neck.grid) > 0
    shown = (neck.pool(maps)[0] != 0).any(dim=0)[: neck.grid[0]]
    assert torch.equal(used, shown)
    assert not shown.all()


@pytest.mark.parametrize('neck', [n for n in NECKS if not hasattr(n, 'pos_embedding')], ids=names)
def test_more_background_around_the_breast_does_not_change_the_answer(neck: nn.Module) -> None:
    nn.init.normal_(neck.fc.weight)
    maps = maps_of_breast()
    wider = nn.functional.pad(maps, (0, 3, 0, 2))
    torch.testing.assert_close(neck.eval()((wider,)), neck((maps,)))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(neck((2 * maps,)), neck((maps,)))


@pytest.mark.parametrize('neck', NECKS, ids=names)
def test_a_map_of_nothing_gives_finite_numbers(neck: nn.Module) -> None:
    assert neck.eval()((torch.zeros(2, 8, 18, 8),))[0].isfinite().all()


def test_attention_is_zero_outside_the_breast_and_whole_within() -> None:
    neck = TransformerNeck(**TOKENS, is_LSA=True, breast_margin=0).eval()
    maps = maps_of_breast()[:, :, :9]
    attention = attention_maps(neck, (maps,))  # (2, depth, heads, h, w)
    shown = (neck.pool(maps) != 0).any(dim=1)[:, None, None]
    assert (attention[~shown.expand_as(attention)] == 0).all()
    torch.testing.assert_close(attention.sum(dim=(3, 4)), torch.ones(2, 2, 2))


def test_a_pooled_map_gives_what_the_map_gives() -> None:
    torch.manual_seed(0)
    neck = TransformerNeck(**TOKENS, breast_margin=1).eval()
    pooled = TransformerNeck(**TOKENS, breast_margin=1, pooled=True).eval()
    pooled.load_state_dict(neck.state_dict())
    maps = maps_of_breast()[:, :, :9]
    torch.testing.assert_close(pooled((neck.pool(maps),)), neck((maps,)))


def classifier(**neck: object) -> ImageTabClassifier:
    torch.manual_seed(0)
    backbone = dict(type='ResNetWs', depth=50, stem_channels=8, base_channels=8)
    neck = dict(type='TransformerNeck', pooling_size=1, head_dim=4) | neck
    return ImageTabClassifier(
        backbone, neck, tasks=[dict(name='N', kind='binary')], image_size=(128, 64)
    ).eval()


@pytest.mark.parametrize('n_views', [1, 2])
@torch.inference_mode()
def test_maps_of_a_network_are_zero_outside_the_breast_and_as_they_were_within(n_views: int) -> None:
    kind = dict(type='MultiViewTransformerNeck', n_views=2) if n_views == 2 else {}
    images = torch.full((2, 3, n_views * 128, 64), BLACK)
    tissue = torch.rand(2, 3, 80, 40, generator=torch.Generator().manual_seed(0))
    images[:, :, 24:104, :40] = tissue
    plain, within = classifier(**kind).maps(images)[0], classifier(**kind, breast_margin=0).maps(images)[0]
    cells = torch.zeros(within.shape[2:], dtype=torch.bool)
    cells[1:3, 0] = True  # of 32 pixels, those with nothing but tissue
    assert torch.equal((within != 0).any(dim=1), cells.expand(2, -1, -1))
    assert torch.equal(within, plain * cells)
