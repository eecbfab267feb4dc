"""The whole image in the usual hanging and at the wanted pixel size, and where the breast is in it.

Display, Description, Settings -> Upright, mask (H, W)
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo.preprocess.description import Description
from mammo.preprocess.dicom import geometry
from mammo.preprocess.dicom.display import Display
from mammo.preprocess.picture import breast
from mammo.preprocess.settings import Settings


class Upright(NamedTuple):
    """The whole image in the usual hanging and the wanted pixel size."""

    image: NDArray[np.float32]  # (H, W)
    padding: NDArray[np.bool_]  # (H, W); no part of the image
    from_source: NDArray[np.float64]  # (3, 3): source pixel (x, y, 1) -> pixel of ``image``
    spacing_mm: float | None


def hung(
    displayed: Display, description: Description, vendor: str, settings: Settings
) -> tuple[Upright, NDArray[np.bool_]]:
    """Bring to pixel size and hanging; an orientation that the picture disproves is not followed."""
    upright = _upright(displayed, description.spacing, description.turn, settings)
    mask = breast.breast_mask(
        upright.image, padding=upright.padding, vendor=vendor, spacing_mm=upright.spacing_mm
    )
    wall = description.item.get('laterality')
    if description.is_turn_told and wall and breast.is_wall_clearly(mask, 'R' if wall == 'L' else 'L'):
        description.notes.append('ORIENTATION')
        if description.turn != geometry.AS_STORED:
            description.turn, description.is_turn_told = geometry.AS_STORED, False
            return hung(displayed, description, vendor, settings)
    return upright, mask


def _upright(
    displayed: Display, spacing: geometry.Spacing | None, turn: geometry.Turn, settings: Settings
) -> Upright:
    image, padding = displayed.image, displayed.padding
    if spacing is not None:
        image = geometry.resample(displayed.image, spacing, settings.spacing_mm)
    if image.shape != padding.shape:
        share = cv2.resize(padding.astype(np.float32), image.shape[::-1], interpolation=cv2.INTER_AREA)
        padding = share > 0
    matrix = geometry.to_upright(displayed.image.shape, image.shape, turn)
    return Upright(
        geometry.upright(image, turn),
        geometry.upright(padding, turn),
        matrix,
        settings.spacing_mm if spacing else None,
    )
