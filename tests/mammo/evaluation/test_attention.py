"""Attention on the image: where a token lies, even attention, lesions, the interval of the ratio."""

import numpy as np
import pytest
import torch

from mammo.evaluation.attention import (
    Axis,
    NoAttentionError,
    alike,
    cells_from_tokens,
    in_breast,
    lesion_mask,
    on_image,
    overlay,
    pixels_from_cells,
    ratio_to_chance,
    share_inside,
    thumbnail,
    with_color_bar,
)
from models.backbones.resnet_ws import ResNetWs
from models.necks.transformer_neck import POOLS


def resnet_axis(
    original_px: int, scale: float, input_px: int, kernel: int, stride: int, padding: int
) -> Axis:
    """An axis behind a ResNet of stride 32."""
    return Axis(original_px, scale, input_px, kernel, stride, padding, -(-input_px // 32), 32, 0)


PLAIN = resnet_axis(original_px=224, scale=1.0, input_px=224, kernel=2, stride=1, padding=0)


@pytest.mark.parametrize('pooling_size', POOLS)
@pytest.mark.parametrize('input_px', [224, 500, 1024, 1792])
def test_cells_take_the_mean_of_the_tokens_that_pool_them(pooling_size: int, input_px: int) -> None:
    kernel, stride, padding = (POOLS[pooling_size][key][0] for key in ('kernel', 'stride', 'padding'))
    axis = resnet_axis(input_px, 1.0, input_px, kernel, stride, padding)
    cells = torch.eye(axis.n_cells)[:, None]  # one-hot maps through the pool: which token sees which cell
    seen = torch.nn.functional.avg_pool1d(cells, kernel, stride, padding)[:, 0].numpy() > 0
    expected = seen / np.maximum(seen.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(cells_from_tokens(axis), expected)


def test_last_cell_that_no_token_pools_gets_nothing() -> None:
    rows = cells_from_tokens(resnet_axis(1792, 1.0, 1792, 4, 3, 0))  # 56 cells, 18 tokens up to cell 54
    assert rows.shape == (56, 18)
    assert rows[:55].sum(1) == pytest.approx(1)
    assert not rows[55].any()


def test_cell_lies_where_the_backbone_reads_it() -> None:
    """With equal positive weights nothing is cut by ReLU: a cell's gradient shows where it is centred."""
    net = ResNetWs(depth=50, stem_channels=8, base_channels=8, expansion=2).eval()
    net.maxpool = torch.nn.AvgPool2d(
        3, 2, 1
    )  # same geometry; a maximum of equal values is the first, 2 px off
    for parameter in net.parameters():
        if parameter.ndim == 4:
            torch.nn.init.constant_(parameter, 1 / parameter[0].numel())
    image = torch.ones(1, 3, 640, 704, requires_grad=True)
    net(image)[-1][0, :, 10, 11].sum().backward()
    energy = image.grad.sum((0, 1)).double().numpy()
    rows, columns = (
        (energy.sum(axis) * np.arange(n)).sum() / energy.sum() for axis, n in ((1, 640), (0, 704))
    )
    assert (rows, columns) == pytest.approx((10 * 32, 11 * 32), abs=1)


def test_even_attention_is_even_on_the_image_and_at_chance() -> None:
    picture = on_image(np.full((6, 6), 1 / 36), PLAIN, PLAIN, (224, 224))
    np.testing.assert_allclose(picture, 1)
    inside = lesion_mask([[40, 90, 20]], (224, 224), (224, 224))
    share, chance = share_inside(picture, inside)
    assert share == pytest.approx(chance)
    assert chance == pytest.approx(np.pi * 20**2 / 224**2, rel=0.01)


@pytest.mark.parametrize(('token', 'centre_px'), [(0, 16), (2, 80), (4, 144)])
def test_single_token_is_brightest_between_the_cells_it_pools(token: int, centre_px: int) -> None:
    tokens = np.zeros((6, 6))
    tokens[token, 1] = 1
    picture = on_image(tokens, PLAIN, PLAIN, (224, 224))
    rows, columns = np.nonzero(picture == picture.max())
    assert abs(rows.mean() - centre_px) <= 16
    assert abs(columns.mean() - 48) <= 16


def test_resize_and_crop_are_undone() -> None:
    axis = resnet_axis(
        original_px=512, scale=0.5, input_px=224, kernel=2, stride=1, padding=0
    )  # 256, cut 16 off
    weights = pixels_from_cells(axis, 512)
    seen = ~np.isnan(weights[:, 0])
    assert (seen.argmax(), seen.sum()) == (32, 448)  # pixels 32 to 479 of the file
    assert weights[32 + 2 * 64, 2] == pytest.approx(1, abs=0.02)  # cell 2 = input pixel 64
    assert weights[seen].sum(1) == pytest.approx(1)


def test_drawing_smaller_keeps_the_place() -> None:
    axis = resnet_axis(512, 0.5, 224, 2, 1, 0)
    full, half = (np.nan_to_num(pixels_from_cells(axis, n))[:, 2] for n in (512, 256))
    np.testing.assert_allclose(full.reshape(256, 2).mean(1), half, atol=0.01)


def test_lesions_follow_the_size_of_the_drawing() -> None:
    full, half = (lesion_mask([[100, 40, 20]], (200, 300), shape) for shape in ((200, 300), (100, 150)))
    assert full[40, 100] > full[40, 121]
    assert half[20, 50]
    assert half.mean() == pytest.approx(full.mean(), rel=0.03)
    assert not lesion_mask([], (8, 8), (8, 8)).any()


def test_share_counts_only_what_was_seen_and_asked_for() -> None:
    attention = np.array([[1.0, 3.0, np.nan], [2.0, 2.0, np.nan]])
    inside = np.array([[False, True, True], [False, False, True]])
    assert share_inside(attention, inside) == (3 / 8, 1 / 4)
    assert share_inside(attention, inside, np.array([[1, 1, 1], [0, 0, 0]], bool)) == (3 / 4, 1 / 2)


def test_no_attention_to_measure_is_refused() -> None:
    with pytest.raises(NoAttentionError, match='no attention in the area'):
        share_inside(np.full((2, 2), np.nan), np.ones((2, 2), bool))


def test_overlay_shows_the_plain_image_where_nothing_was_seen() -> None:
    image = np.array([[10, 20, 30]], np.uint8)
    drawn = overlay(image, np.array([[0.0, 1.0, np.nan]]))
    assert drawn[0, 2].tolist() == [30, 30, 30]
    assert drawn[0, 1].sum() > drawn[0, 0].sum()


@pytest.mark.parametrize('value', [0, np.nan])
def test_map_without_attention_is_drawn_flat(value: float) -> None:
    image = np.full((60, 40), 100, np.uint8)
    drawn = with_color_bar(image, np.full((60, 40), value))
    assert len(np.unique(drawn[:, :40].reshape(-1, 3), axis=0)) == 1


def disc(color_outside: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A breast-like half disc, and where it is."""
    inside = lesion_mask([[0, 120, 100]], (240, 160), (240, 160))
    noise = np.random.default_rng(0).integers(0, 40, inside.shape)
    return np.where(inside, 180 + noise, color_outside).astype(np.uint8), inside


def test_attention_is_drawn_within_the_breast_only() -> None:
    image, inside = disc()
    maps = in_breast(image, np.ones((3, *image.shape)))
    assert maps.shape == (3, *image.shape)
    drawn = ~np.isnan(maps[0])
    assert (drawn & inside).sum() > 0.97 * inside.sum()
    assert (drawn & ~inside).sum() < 0.01 * inside.sum()
    empty = np.zeros((240, 160), np.uint8)
    np.testing.assert_array_equal(in_breast(empty, maps[0]), maps[0])


def test_color_bar_has_the_colors_of_the_picture_from_nothing_to_the_maximum() -> None:
    image = np.full((400, 100), 128, np.uint8)
    drawn = with_color_bar(image, np.tile(np.linspace(0, 2, 400)[:, None], 100))
    bar = drawn[:, 100:]
    of_picture, of_bar = ({tuple(color) for color in part.reshape(-1, 3)} for part in (drawn[:, :100], bar))
    assert tuple(drawn[-1, 0]) in of_bar  # the maximum
    assert tuple(drawn[0, 0]) in of_bar  # nothing
    assert len(of_bar & of_picture) > 50
    colored = np.ptp(bar[:, 0].astype(int), axis=1) > 0
    assert bar[colored, 0][0].tolist() == drawn[-1, 0].tolist()  # the maximum is at the top


def test_ratio_is_exact_and_its_interval_follows_the_seed() -> None:
    shares, chances = np.array([0.2, 0.4, 0.1, 0.1]), np.array([0.1, 0.1, 0.1, 0.1])
    patients = np.array(['a', 'a', 'b', 'c'])
    found = [ratio_to_chance(shares, chances, patients, np.random.default_rng(0)) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0]['value'] == pytest.approx(2)
    assert (found[0]['n_images'], found[0]['n_patients']) == (4, 3)
    assert found[0]['ci_low'] == pytest.approx(1)
    assert found[0]['ci_high'] == pytest.approx(3)  # patient a alone


def test_interval_of_ratio_covers_the_truth() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(300):
        chances = rng.uniform(0.05, 0.15, 60)
        shares = 1.5 * chances + rng.normal(0, 0.03, 60)
        found = ratio_to_chance(shares, chances, np.arange(60), rng, n_bootstrap=400)
        covered += found['ci_low'] <= 1.5 <= found['ci_high']
    assert 0.90 <= covered / 300 <= 0.98


def test_attention_that_follows_the_image_is_told_from_one_of_the_same_places() -> None:
    rng = np.random.default_rng(0)
    place, each = rng.dirichlet(np.ones(160)), rng.dirichlet(np.ones(160), size=20)
    assert alike(np.outer(np.arange(1, 21), place)) == pytest.approx(1)
    expected = np.corrcoef(each)[np.triu_indices(20, 1)].mean()
    assert alike(each) == pytest.approx(expected, abs=1e-9)
    assert alike(np.vstack([each, np.zeros(160), np.ones(160)])) == pytest.approx(expected, abs=1e-9)
    assert alike(each[:1]) is None


def test_attention_of_images_of_any_size_is_compared_on_one_grid() -> None:
    y, x = np.mgrid[:640, :320] / np.array([[[640]], [[320]]])
    large = np.exp(-((x - 0.3) ** 2 + (y - 0.7) ** 2) / 0.02)
    small = large[::2, ::2].copy()
    small[:5] = np.nan  # cut off
    assert alike(np.stack([thumbnail(large), thumbnail(small)])) > 0.99
    assert alike(np.stack([thumbnail(large), thumbnail(large[::-1])])) < 0.1
