"""Pixel size and hanging of an image: what the header says, and the steps that follow from it.

Dataset -> Spacing, Turn; (H, W) image -> upright image of the wanted pixel size
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammo.preprocess.dicom import headers
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.records.storage.png import MAX_PIXELS

PLAUSIBLE_SPACING_MM = (0.03, 0.3)  # SPEC 9
PLAUSIBLE_MAGNIFICATION = (1.0, 2.5)
MAGNIFIED = 1.3  # from here on a view is magnified; contact views reach 1.1, those on a stand start at 1.5
MAX_PIXEL_ASPECT = 1.25
_OPPOSITE = {'A': 'P', 'P': 'A', 'L': 'R', 'R': 'L', 'H': 'F', 'F': 'H'}


class Spacing(NamedTuple):
    """Size of a pixel in the breast, and the tag it comes from."""

    row_mm: float  # between rows, downwards
    column_mm: float  # between columns, to the right
    source: str


class Turn(NamedTuple):
    """How to make an image upright: mirror left to right, then turn counterclockwise."""

    mirror: bool
    quarter_turns: int


AS_STORED = Turn(False, 0)


def turn(ds: Dataset) -> Turn:
    """How to bring an image into the usual hanging: rows run away from the chest wall, head or outer side up.

    PS3.3 C.7.6.1.1.1: PatientOrientation names the directions of the rows and of the columns. A left
    breast hangs as A\\F (oblique) or A\\R (craniocaudal), a right one as P\\F or P\\L. Without both
    tags, or where they cannot be true, the image stays as it is.
    """
    across, down = orientation(ds) or ('', '')
    side = headers.laterality(ds)
    if side is None or not across:
        return AS_STORED
    away = 'A' if side == 'L' else 'P'
    wanted = {(away, 'F'), (away, 'R' if side == 'L' else 'L')}
    for mirror in (False, True):  # a pure rotation keeps left and right, so it is tried first
        axes = (_OPPOSITE[across[0]] if mirror else across[0], down[0])
        for quarter_turns in range(4):
            if axes in wanted:
                return Turn(mirror, quarter_turns)
            axes = (axes[1], _OPPOSITE[axes[0]])
    return AS_STORED


def spacing(ds: Dataset) -> Spacing | None:
    """Pixel size in the plane of the breast: the first plausible of five tags, None if there is none.

    PS3.3 10.7.1.3: PixelSpacing with a calibration type holds in the patient. PS3.3 C.8.11.7:
    ImagerPixelSpacing holds at the detector, where the breast appears larger by
    EstimatedRadiographicMagnificationFactor.
    """
    calibrated = headers.text(ds, 'PixelSpacingCalibrationType').upper() in ('GEOMETRY', 'FIDUCIAL')
    order = ['ImagerPixelSpacing', 'PixelSpacing', 'NominalScannedPixelSpacing', 'SpatialResolution']
    for keyword in ['PixelSpacing', *order] if calibrated else order:
        values = headers.numbers(ds, keyword)
        values = values * 2 if keyword == 'SpatialResolution' and len(values) == 1 else values
        scale = magnification(ds) if keyword == 'ImagerPixelSpacing' else 1.0
        if len(values) == 2 and _plausible(values[0] / scale, values[1] / scale):
            return Spacing(values[0] / scale, values[1] / scale, keyword)
    return None


def orientation(ds: Dataset) -> tuple[str, str] | None:
    """Directions of the rows and of the columns, None if they are not there or cannot be true."""
    across, _, down = headers.text(ds, 'PatientOrientation').upper().partition('\\')
    letters = {across[:1], down[:1]}
    is_possible = letters <= set(_OPPOSITE) and _OPPOSITE[down[:1]] not in (down[:1], across[:1])
    return (across, down) if is_possible and len(letters) == 2 else None


def magnification(ds: Dataset) -> float:
    """How much larger than the breast its image on the detector is; 1 if no tag tells a plausible number.

    PS3.3 C.8.11.7: EstimatedRadiographicMagnificationFactor; without it, the distances from source to
    detector and to patient, as far as they tell a magnified view (they are rough in contact views).
    """
    low, high = PLAUSIBLE_MAGNIFICATION
    factors = headers.numbers(ds, 'EstimatedRadiographicMagnificationFactor')[:1]
    if factors and low <= factors[0] <= high:
        return factors[0]
    distances = [headers.numbers(ds, f'DistanceSourceTo{end}')[:1] for end in ('Detector', 'Patient')]
    if not all(distances) or distances[1][0] <= 0:
        return 1.0
    ratio = distances[0][0] / distances[1][0]
    return ratio if MAGNIFIED <= ratio <= high else 1.0


def _plausible(row_mm: float, column_mm: float) -> bool:
    low, high = PLAUSIBLE_SPACING_MM
    within = low <= row_mm <= high and low <= column_mm <= high
    return within and 1 / MAX_PIXEL_ASPECT <= row_mm / column_mm <= MAX_PIXEL_ASPECT


def resample(image: NDArray[np.float32], spacing: Spacing, target_mm: float) -> NDArray[np.float32]:
    """Bring pixels to ``target_mm`` a side; averages areas when shrinking. (H, W) -> (H', W').

    Raises:
        PreprocessError: TOO_LARGE.
    """
    height = max(1, round(image.shape[0] * spacing.row_mm / target_mm))
    width = max(1, round(image.shape[1] * spacing.column_mm / target_mm))
    if (height, width) == image.shape:
        return image
    if height * width > MAX_PIXELS:
        raise PreprocessError(Reason.TOO_LARGE, f'{height} x {width} pixels of {target_mm} mm')
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def upright(image: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """Mirror and turn an image as ``turn`` says. (H, W) -> (H, W) or (W, H)."""
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if turn.mirror else image, turn.quarter_turns))


def to_upright(before: tuple[int, ...], after: tuple[int, ...], turn: Turn) -> NDArray[np.float64]:
    """Where ``resample`` to ``after`` and then ``upright`` bring a pixel: matrix (3, 3) on (x, y, 1)."""
    (height, width), (sy, sx) = after, np.divide(after, before)
    matrix = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1.0]])  # centres of pixels
    if turn.mirror:
        matrix = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
    for _ in range(turn.quarter_turns):  # counterclockwise: x' = y, y' = width - 1 - x
        matrix = np.array([[0, 1, 0], [-1, 0, width - 1], [0, 0, 1]]) @ matrix
        height, width = width, height
    return matrix
