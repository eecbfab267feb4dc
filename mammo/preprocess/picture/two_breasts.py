"""Whether an image shows two breasts side by side.

(H, W) image, upright -> bool
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammo.preprocess.picture.breast import NoBreastError, bounds, breast_mask, is_wall_clearly

MIN_WIDTH_OF_TWO = 1.2  # width / height of an image with two breasts side by side


def shows_two(image: NDArray[Any], *, vendor: str = 'default', spacing_mm: float | None = None) -> bool:
    """Whether two breasts stand side by side: a wide image whose halves are breasts of opposite sides."""
    height, width = image.shape
    if width < MIN_WIDTH_OF_TWO * height:
        return False
    try:
        left, right = (
            breast_mask(half, vendor=vendor, spacing_mm=spacing_mm)
            for half in (image[:, : width // 2], image[:, width // 2 :])
        )
    except NoBreastError:
        return False
    if _is_lying(np.hstack([left, right])):
        return False
    is_even = 0.5 < left.sum() / right.sum() < 2
    outside = is_wall_clearly(left, 'L') and is_wall_clearly(right, 'R')
    inside = is_wall_clearly(left, 'R') and is_wall_clearly(right, 'L')
    return is_even and (outside or inside)


def _is_lying(mask: NDArray[np.bool_]) -> bool:
    """Whether one breast lies on its side: widest at its top or bottom edge, where the chest wall is then."""
    y0, _, y1, _ = bounds(mask)
    widths = mask[y0:y1].sum(axis=1)
    band = max(1, len(widths) // 10)
    return max(widths[:band].mean(), widths[-band:].mean()) > 0.9 * widths.max()
