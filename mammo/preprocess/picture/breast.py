"""Where the breast is: artefact mask, crop box, and the side of the chest wall.

(H, W) uint8, uint16 or float image, mm per pixel if known -> (H, W) bool mask, (y0, x0, y1, x1) box
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo.errors import UserError
from mammo.preprocess.picture.film import exposed_film, film_base

PUBLISHED_SPACING_MM = 0.0941  # the kernels below count pixels of this size (SPEC 9)
WORK_SPACING_MM = 0.2  # fine enough to find a breast in; finer images are shrunk first
FILM_LONG_SIDE_MM = 240  # an 18 x 24 cm film, assumed where the spacing is unknown
LOW_THRESHOLD_FRAC = 0.01  # enough where the background is flat, as in digital images
MAX_GROWTH = 1.05  # up to which the low threshold finds skin and dark fat; beyond, film background
MIN_BREAST_MM = 20  # of its longer side; less is a wrong pixel size, or a thumbnail
MIN_AREA_FRAC = 0.01  # less of the image than this is a label, not a breast
WIDEN = ((3, 1.5), (2, 1.4), (0, 1.4))  # from this height / width on, the box is this much wider (SPEC 9)

Side = Literal['L', 'R']
Box = tuple[int, int, int, int]


class NoBreastError(UserError):
    """The image shows nothing that could be a breast; the message says what was found."""


@dataclass(frozen=True)
class VendorSettings:
    """SPEC 9; n erosions with a k x k kernel equal one with a kernel of n (k - 1) + 1."""

    threshold_frac: float  # of the brightest tissue
    core_px: int  # what is narrower does not widen the box
    open_px: int = 15  # what is narrower is not in the mask


VENDORS = {
    'default': VendorSettings(threshold_frac=0.05, core_px=91),  # 10 x 10, ten times
    'hologic': VendorSettings(threshold_frac=0.01, core_px=21),  # 5 x 5, five times
}


def breast_mask(
    image: NDArray[Any],
    *,
    padding: NDArray[np.bool_] | None = None,
    vendor: str = 'default',
    spacing_mm: float | None = None,
) -> NDArray[np.bool_]:
    """Mark the breast; labels, tape, frames and film base stay out. (H, W) -> (H, W) bool.

    Args:
        image: grey values, brighter = denser.
        padding: (H, W), pixels that are known to be no part of the image; they have no say.
        vendor: name of the maker, see ``vendor_settings``.
        spacing_mm: per pixel.

    Raises:
        NoBreastError: the image is constant, not finite, or has no large bright area.
    """
    settings, full_shape = vendor_settings(vendor), image.shape
    if padding is not None and (not padding.any() or padding.all()):
        padding = None
    if padding is not None:
        low, high = image[~padding].min(), image[~padding].max()
        image = np.where(padding, np.float32(low) - (high - low) / 5, image)  # below skin
    image, spacing_mm = _checked(image), _spacing(full_shape, spacing_mm)
    shrink = max(1, round(WORK_SPACING_MM / spacing_mm))
    size = tuple(math.ceil(side / shrink) for side in full_shape[::-1])
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    film = exposed_film(image, padding)
    peak = float(np.percentile(film, 95))
    base = film_base(film, float(film.min() if padding is not None else image.min()), peak)
    for _ in range(2):
        # NOTE[DIFF]: 5 % of the brightest tissue, as found in the first round, instead of the brightest pixel
        # (a lead label must not dim the breast), counted from the film base.
        threshold = base + settings.threshold_frac * (peak - base)
        mask = _breast_part(image > threshold, settings, spacing_mm * shrink)
        peak = float(image[mask].max()) if mask.any() else peak
    # NOTE[DIFF]: 1 % where the background is flat enough for it.
    fuller = _breast_part(image > base + LOW_THRESHOLD_FRAC * (peak - base), settings, spacing_mm * shrink)
    mask = fuller if fuller.sum() < MAX_GROWTH * mask.sum() else mask
    if mask.mean() < MIN_AREA_FRAC:
        raise NoBreastError(
            f'the largest bright area covers {mask.mean():.2%} of the image of shape {full_shape}, '
            f'a breast covers at least {MIN_AREA_FRAC:.0%}; look at the image and leave it out'
        )
    full = cv2.resize(mask.astype(np.uint8), full_shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0
    return full if padding is None else full & ~padding


def breast_box(mask: NDArray[np.bool_], *, vendor: str = 'default', spacing_mm: float | None = None) -> Box:
    """Box around the breast, widened by its height / width ratio. (H, W) bool -> (y0, x0, y1, x1)."""
    if not mask.any():
        raise NoBreastError(f'the breast mask of shape {mask.shape} is empty; leave the image out')
    core = _largest_part(_opened(mask, _pixels(vendor_settings(vendor).core_px, mask.shape, spacing_mm)))
    y0, x0, y1, x1 = bounds(core if core.any() else mask)
    longer_mm = max(y1 - y0, x1 - x0) * (spacing_mm or math.inf)
    if longer_mm < MIN_BREAST_MM:
        raise NoBreastError(f'the breast would be {longer_mm:.0f} mm long; is the pixel size right?')
    widen = next(widen for ratio, widen in WIDEN if (y1 - y0) / (x1 - x0) >= ratio)
    # NOTE[DIFF]: 15 to 20 % off the top is not copied: that loses the axillary tail, and lesions with it.
    # NOTE[DIFF]: widened on the nipple side only; behind a chest wall off the border there is only padding.
    wider = math.ceil((widen - 1) / 2 * (x1 - x0))
    if chest_wall_side(mask) == 'L':
        return y0, x0, y1, min(x1 + wider, mask.shape[1])
    return y0, max(x0 - wider, 0), y1, x1


def crop_to_breast(image: NDArray[Any], *, spacing_mm: float | None = None) -> tuple[NDArray[Any], Box]:
    """Cut the breast out, and blank what is not breast. (H, W) -> crop (y1 - y0, x1 - x0), its box."""
    mask = breast_mask(image, spacing_mm=spacing_mm)
    y0, x0, y1, x1 = box = breast_box(mask, spacing_mm=spacing_mm)
    return np.where(mask, image, image.min())[y0:y1, x0:x1], box


def chest_wall_side(mask: NDArray[np.bool_]) -> Side:
    """Side of the image on which the chest wall lies: there the breast is taller. (H, W) bool -> L or R."""
    left, right = _edge_areas(mask)
    return 'L' if left >= right else 'R'


def is_wall_clearly(mask: NDArray[np.bool_], side: Side) -> bool:
    """Whether the chest wall is beyond doubt on one side: the breast is twice as tall there."""
    left, right = _edge_areas(mask)
    return left > 2 * right if side == 'L' else right > 2 * left


def vendor_settings(vendor: str) -> VendorSettings:
    """Settings of a vendor by its name in any case ('HOLOGIC, Inc.'); unknown vendors get the default."""
    return next((row for name, row in VENDORS.items() if name in vendor.lower()), VENDORS['default'])


def _checked(image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim != 2:
        raise NoBreastError(f'image has shape {image.shape}, expected one grey channel (H, W)')
    low, high = (image.min(), image.max()) if image.size else (0, 0)
    if not low < high or not np.isfinite([low, high]).all():
        raise NoBreastError(f'image of shape {image.shape} holds values from {low} to {high}; leave it out')
    return image if image.dtype in (np.uint8, np.uint16, np.float32) else image.astype(np.float32)


def _spacing(shape: tuple[int, ...], spacing_mm: float | None) -> float:
    if spacing_mm is not None and not 0.01 <= spacing_mm < math.inf:
        raise NoBreastError(
            f'spacing_mm is {spacing_mm}, expected at least 0.01 mm per pixel, or None if unknown'
        )
    return spacing_mm or FILM_LONG_SIDE_MM / max(shape)


def _pixels(published_px: int, shape: tuple[int, ...], spacing_mm: float | None) -> int:
    # NOTE[DIFF]: the published kernels count pixels; ours keep their size in mm, whatever the pixel size is.
    size_px = published_px * PUBLISHED_SPACING_MM / _spacing(shape, spacing_mm)
    return 2 * round((size_px - 1) / 2) + 1  # odd: mirror-symmetric


def _breast_part(mask: NDArray[Any], settings: VendorSettings, spacing_mm: float) -> NDArray[np.bool_]:
    open_px, core_px = (_pixels(px, mask.shape, spacing_mm) for px in (settings.open_px, settings.core_px))
    part = _largest_part(_opened(mask, open_px))
    core = _largest_part(_opened(part, core_px))
    # NOTE[DIFF]: opened first, and cut to what is near the core: labels and tape hang on by thin bridges.
    near = cv2.dilate(core, np.ones((core_px, core_px), np.uint8))
    return (_largest_part(cv2.bitwise_and(part, near)) if core.any() else part).astype(bool)


def _opened(mask: NDArray[Any], kernel_px: int) -> NDArray[Any]:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((kernel_px, kernel_px), np.uint8))


def _largest_part(mask: NDArray[Any]) -> NDArray[Any]:
    """Largest component, holes filled (but not counted: frames). (H, W) uint8 -> (H, W), empty if mask is."""
    outlines, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros_like(mask)
    parents = hierarchy[0][:, 3]  # -1: an outer outline, else the outline that has this hole
    areas = np.array([cv2.contourArea(outline) for outline in outlines])
    net_areas = np.where(parents < 0, areas, -1)
    np.subtract.at(net_areas, parents[parents >= 0], areas[parents >= 0])
    return cv2.drawContours(np.zeros_like(mask), outlines, int(net_areas.argmax()), 1, cv2.FILLED)


def _edge_areas(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Pixels of the mask in the leftmost and the rightmost tenth of its columns."""
    _, x0, _, x1 = bounds(mask)
    band = max(1, (x1 - x0) // 10)
    return int(mask[:, x0 : x0 + band].sum()), int(mask[:, x1 - band : x1].sum())


def bounds(mask: NDArray[Any]) -> Box:
    """Smallest box around a mask (H, W): first row and column, end of rows and columns, pixels."""
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1
