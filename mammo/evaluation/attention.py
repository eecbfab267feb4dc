"""Attention of the class token on the image: placed, drawn, and compared with lesions.

attention (h, w) on the token grid, geometry -> attention (H, W) on the original image, share in lesions
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo.errors import UserError
from mammo.evaluation.resampling import percentile_interval
from mammo.preprocess.picture.breast import NoBreastError, breast_mask

# Test pipelines whose way from file to input can be traced back; a CenterCrop comes after the Resize.
TRACEABLE = (['Resize'], ['Resize', 'CenterCrop'])
OPACITY_FRAC = 0.5
MAX_SIDE_PX = 1024  # of a drawn image
ALIKE_CELLS = 32  # along either side, of attention that is compared between images
BAR_FRAC, MIN_BAR_PX = 0.1, 44  # width of the color bar, of the picture's height


class NoAttentionError(UserError):
    """There is nothing to measure: the map is zero wherever it is asked for."""


class Axis(NamedTuple):
    """One axis of the way from the original image through the test pipeline and the pool to the tokens."""

    original_px: int
    scale: float  # of Resize, resized / original
    input_px: int  # what the network saw after CenterCrop
    kernel: int  # of the pool, in cells of the feature map, as are the next two
    stride: int
    padding: int
    n_cells: int  # of the feature map
    cell_px: float  # from one cell of it to the next, in pixels of the input, the backbone's stride
    first_px: float  # index of the pixel under the centre of the first cell


def axes_of(
    sample: Mapping[str, Any],
    geometry: Sequence[tuple[int, int]],
    map_size: Sequence[int],
    cell_px: float,
    first_px: float,
) -> tuple[Axis, Axis]:
    """Rows and columns of one image.

    Args:
        sample: what its test pipeline left: Resize gives (w, h) factors, all other fields are (h, w).
        geometry: kernel, stride and padding of the neck's pool, each (h, w).
        map_size: (h, w) of the feature map.
        cell_px, first_px: of the backbone, see :class:`Axis`.
    """
    fields = sample['ori_shape'], sample['scale_factor'][::-1], sample['img_shape']
    rows, columns = (
        Axis(original, scale, seen, kernel, stride, padding, cells, cell_px, first_px)
        for original, scale, seen, kernel, stride, padding, cells in zip(
            *fields, *geometry, map_size, strict=True
        )
    )
    return rows, columns


def cells_from_tokens(axis: Axis) -> NDArray:
    """Each cell of the feature map gets the mean of the tokens that pool it, 0 if none; (cells, tokens)."""
    n_tokens = (axis.n_cells + 2 * axis.padding - axis.kernel) // axis.stride + 1
    first = np.arange(n_tokens) * axis.stride - axis.padding
    cells = np.arange(axis.n_cells)[:, None]
    covers = (first <= cells) & (cells < first + axis.kernel)
    return covers / np.maximum(covers.sum(axis=1, keepdims=True), 1)


def pixels_from_cells(axis: Axis, n_drawn: int) -> NDArray:
    """Linear interpolation between cells; (n_drawn, cells), NaN where CenterCrop cut the image off."""
    cut_px = max(0, round((round(axis.original_px * axis.scale) - axis.input_px) / 2))
    centres_px = (np.arange(n_drawn) + 0.5) * axis.original_px / n_drawn
    input_px = centres_px * axis.scale - cut_px - 0.5  # index of a pixel of the network's input
    place = np.clip((input_px - axis.first_px) / axis.cell_px, 0, axis.n_cells - 1)[:, None]
    weights = np.clip(1 - np.abs(place - np.arange(axis.n_cells)), 0, None)
    seen = (input_px >= -0.5) & (input_px <= axis.input_px - 0.5)
    return np.where(seen[:, None], weights, np.nan)


def to_draw(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image (H, W) at the size at which it is drawn, at most MAX_SIDE_PX high and wide."""
    shrink = min(1, MAX_SIDE_PX / max(image.shape))
    height, width = (max(1, round(side * shrink)) for side in image.shape)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def on_image(attention: NDArray, rows: Axis, columns: Axis, shape: tuple[int, int]) -> NDArray:
    """Attention (..., h, w) on tokens -> (..., H, W) on the original image drawn with ``shape`` (H, W).

    In multiples of an even spread: the same attention to all tokens, 1 in sum, is 1 all over the picture.
    NaN where the network saw nothing.
    """
    down = pixels_from_cells(rows, shape[0]) @ cells_from_tokens(rows)  # (H, h)
    across = pixels_from_cells(columns, shape[1]) @ cells_from_tokens(columns)  # (W, w)
    return down @ attention @ across.T * (attention.shape[-2] * attention.shape[-1])


def in_breast(image: NDArray[np.uint8], attention: NDArray) -> NDArray:
    """Attention (..., H, W), NaN outside the breast of the image (H, W); as it is if there is no breast."""
    try:
        return np.where(breast_mask(image), attention, np.nan)
    except NoBreastError:
        return attention


def overlay(image: NDArray[np.uint8], attention: NDArray) -> NDArray[np.uint8]:
    """Image (H, W) under attention (H, W) in viridis, dark to bright = 0 to its maximum -> RGB (H, W, 3)."""
    import matplotlib as mpl  # late: an answer without pictures needs none

    top = max(float(np.nanmax(attention, initial=0)), 1e-12)
    color = mpl.colormaps['viridis'](np.nan_to_num(attention) / top)[..., :3]
    grey = np.repeat(image[..., None], 3, axis=2).astype(float)
    mixed = (1 - OPACITY_FRAC) * grey + OPACITY_FRAC * 255 * color
    return np.where(np.isnan(attention)[..., None], grey, mixed).round().astype(np.uint8)


def with_color_bar(image: NDArray[np.uint8], attention: NDArray) -> NDArray[np.uint8]:
    """The overlay of an image (H, W), and beside it what its colors mean -> RGB (H, W + bar, 3)."""
    top, height = float(np.nanmax(attention, initial=0)), len(image)
    width = max(MIN_BAR_PX, round(BAR_FRAC * height))
    margin, text_height = width // 2, width // 4
    shades = np.linspace(1, 0, max(height - 2 * margin, 1))
    bar = overlay(np.full((len(shades), text_height), 128, np.uint8), np.tile(shades[:, None], text_height))
    strip = np.zeros((height, width, 3), np.uint8)
    strip[margin : margin + len(bar), :text_height] = bar[: height - margin]
    thickness = max(1, width // 50)
    for text, y in ((f'{top:.1f}x', margin - text_height // 2), ('0', height - text_height // 2)):
        font = cv2.FONT_HERSHEY_SIMPLEX
        scale = cv2.getFontScaleFromHeight(font, text_height, thickness)
        cv2.putText(strip, text, (2, y), font, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return np.hstack([overlay(image, attention), strip])


def lesion_mask(lesions: list[list[float]], original: tuple[int, int], shape: tuple[int, int]) -> NDArray:
    """Discs [x, y, radius] in pixels of the original image (H, W) -> mask drawn with ``shape`` (H, W)."""
    y, x = ((np.arange(n) + 0.5) * full / n - 0.5 for n, full in zip(shape, original, strict=True))
    discs = [np.hypot(x[None, :] - cx, y[:, None] - cy) <= radius for cx, cy, radius in lesions]
    return np.any(discs, axis=0) if discs else np.zeros(shape, bool)


def share_inside(attention: NDArray, inside: NDArray, within: NDArray | None = None) -> tuple[float, float]:
    """Share of the attention (H, W) that lies in a mask (H, W), and chance: the mask's share of the area.

    Both are taken over what the network saw, and over ``within`` (H, W) only, if given.

    Raises:
        NoAttentionError: the map is zero there.
    """
    area = ~np.isnan(attention) if within is None else ~np.isnan(attention) & within
    if not area.any() or attention[area].sum() <= 0:
        raise NoAttentionError('there is no attention in the area to measure it in')
    return float(attention[area & inside].sum() / attention[area].sum()), float(inside[area].mean())


def thumbnail(attention: NDArray) -> NDArray[np.float32]:
    """Attention (H, W) on one common grid, 0 where the network saw nothing: (ALIKE_CELLS ** 2,)."""
    seen = np.nan_to_num(attention).astype(np.float32)
    return cv2.resize(seen, (ALIKE_CELLS, ALIKE_CELLS), interpolation=cv2.INTER_AREA).ravel()


def alike(attention: NDArray) -> float | None:
    """Mean correlation of the attention (n, cells) of two images; None, if fewer than two have a pattern.

    Near 1 a network looks at the same places whatever the image shows.
    """
    centred = attention - attention.mean(axis=1, keepdims=True, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1)
    unit = centred[length > 0] / length[length > 0, None]
    n = len(unit)
    return min(1.0, float((np.square(unit.sum(axis=0)).sum() - n) / (n * (n - 1)))) if n > 1 else None


def ratio_to_chance(
    shares: NDArray, chances: NDArray, patients: NDArray, rng: np.random.Generator, n_bootstrap: int = 10000
) -> dict[str, float | int]:
    """Mean share over mean chance of n images (n,), with the percentile interval over patients resampled."""
    _, of_image = np.unique(patients, return_inverse=True)
    sums = np.stack([np.bincount(of_image, weights=part) for part in (shares, chances)])  # (2, p)
    n = sums.shape[1]
    share, chance = sums @ rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap).T  # (n_bootstrap,) each
    low, high = percentile_interval(share / chance)
    means = dict(share=float(shares.mean()), chance=float(chances.mean()))
    ratio = dict(value=means['share'] / means['chance'], ci_low=low, ci_high=high)
    return dict(n_images=len(shares), n_patients=n, **means, **ratio)
