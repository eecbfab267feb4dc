"""What a mammogram's header says of view, side, orientation and pixel size, wherever it says it.

pydicom Dataset -> view, laterality, quarter turns, mm per pixel; None where no tag tells
"""

import math
from typing import Any, NamedTuple

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

PLAUSIBLE_SPACING_MM = (0.03, 0.3)  # SPEC 9
PLAUSIBLE_MAGNIFICATION = (1.0, 2.5)
MAX_PIXEL_ASPECT = 1.25

# PS3.16 CID 4014: SNOMED CT code, the older SNOMED RT code, view as PS3.3 C.8.11.7.1 abbreviates it
_VIEW_CODES = (
    ('399162004', 'R-10242', 'CC'),
    ('399368009', 'R-10226', 'MLO'),
    ('399260004', 'R-10224', 'ML'),
    ('399352003', 'R-10228', 'LM'),
    ('399099002', 'R-10230', 'LMO'),
    ('399196006', 'R-10244', 'FB'),
    ('399188001', 'R-102D0', 'SIO'),
    ('441555000', 'R-40AAA', 'ISO'),
    ('399192008', 'R-1024A', 'XCCL'),
    ('399101009', 'R-1024B', 'XCCM'),
    ('127457009', 'G-8310', 'SPECIMEN'),
)
VIEW_OF_CODE = {code: view for *codes, view in _VIEW_CODES for code in codes}
VIEWS = frozenset(VIEW_OF_CODE.values()) - {'SPECIMEN'}
# PS3.16 CID 244 (side) and the sided codes of CID 4013 (breast)
SIDE_OF_CODE = {'7771000': 'L', 'G-A101': 'L', '24028007': 'R', 'G-A100': 'R'} | {
    '80248007': 'L', 'T-04030': 'L', '73056007': 'R', 'T-04020': 'R'
}  # fmt: skip
BREAST_CODES = frozenset(SIDE_OF_CODE) | {'76752008', 'T-04000', '63762007', 'T-04080'}
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


def value(ds: Dataset, keyword: str) -> Any:
    """One tag as pydicom reads it; None if it is absent or unreadable."""
    try:
        return ds.get(keyword)
    except Exception:  # pydicom converts on access, and a damaged value can raise nearly anything
        return None


def text(ds: Dataset, keyword: str) -> str:
    """One tag as text; '' if it is absent, empty or unreadable. Several values are joined by a backslash."""
    found = value(ds, keyword)
    if isinstance(found, MultiValue | list | tuple):
        return '\\'.join(str(part).strip() for part in found)
    return '' if found is None else str(found).strip()


def numbers(ds: Dataset, keyword: str) -> list[float]:
    """One tag as finite numbers; [] if it is absent or any value is not a number."""
    try:
        parts = [float(part) for part in text(ds, keyword).split('\\')]
    except ValueError:
        return []
    return parts if all(math.isfinite(part) for part in parts) else []


def view(ds: Dataset) -> str | None:
    """CC, MLO or another view of PS3.3 C.8.11.7.1; from ViewPosition, ViewCodeSequence, else free texts."""
    position = text(ds, 'ViewPosition').upper()
    if position in VIEWS:
        return position
    for code in _codes(ds, 'ViewCodeSequence'):
        if code in VIEW_OF_CODE:
            return VIEW_OF_CODE[code]
    return _word(ds, VIEWS)


def laterality(ds: Dataset) -> str | None:
    """L or R; from ImageLaterality, Laterality, FrameLaterality, the anatomy codes, else the texts."""
    for keyword in ('ImageLaterality', 'Laterality', 'FrameLaterality'):
        side = text(ds, keyword).upper()[:1]
        if side in ('L', 'R'):
            return side
    for part in (ds, *_items(ds, 'AnatomicRegionSequence')):  # PS3.3 C.8.11.7.1.1: modifier in or beside it
        for keyword in ('AnatomicRegionModifierSequence', 'AnatomicRegionSequence'):
            sides = {SIDE_OF_CODE[code] for code in _codes(part, keyword) if code in SIDE_OF_CODE}
            if len(sides) == 1:
                return sides.pop()
    word = _word(ds, frozenset(side + name for side in 'LR' for name in VIEWS) | {'LEFT', 'RIGHT'})
    return word[0] if word else None


def is_breast(ds: Dataset) -> bool:
    """Whether a projection image of unspecific modality (RG, CR, DX, OT) shows a breast."""
    if 'BREAST' in text(ds, 'BodyPartExamined').upper():
        return True
    codes = (*_codes(ds, 'AnatomicRegionSequence'), *_codes(ds, 'ViewCodeSequence'))
    return any(code in BREAST_CODES or code in VIEW_OF_CODE for code in codes)


def turn(ds: Dataset) -> Turn:
    """How to bring an image into the usual hanging: rows run away from the chest wall, head or outer side up.

    PS3.3 C.7.6.1.1.1: PatientOrientation names the directions of the rows and of the columns. A left
    breast hangs as A\\F (oblique) or A\\R (craniocaudal), a right one as P\\F or P\\L. Without both
    tags, or where they cannot be true, the image stays as it is.
    """
    across, _, down = text(ds, 'PatientOrientation').upper().partition('\\')
    side = laterality(ds)
    if side is None or not {across[:1], down[:1]} <= set(_OPPOSITE):
        return Turn(False, 0)
    away = 'A' if side == 'L' else 'P'
    wanted = {(away, 'F'), (away, 'R' if side == 'L' else 'L')}
    for mirror in (False, True):  # a pure rotation keeps left and right, so it is tried first
        axes = (_OPPOSITE[across[0]] if mirror else across[0], down[0])
        for quarter_turns in range(4):
            if axes in wanted:
                return Turn(mirror, quarter_turns)
            axes = (axes[1], _OPPOSITE[axes[0]])
    return Turn(False, 0)


def spacing(ds: Dataset) -> Spacing | None:
    """Pixel size in the plane of the breast: the first plausible of five tags, None if there is none.

    PS3.3 10.7.1.3: PixelSpacing with a calibration type holds in the patient. PS3.3 C.8.11.7:
    ImagerPixelSpacing holds at the detector, where the breast appears larger by
    EstimatedRadiographicMagnificationFactor.
    """
    low, high = PLAUSIBLE_MAGNIFICATION
    magnification = next((m for m in numbers(ds, 'EstimatedRadiographicMagnificationFactor')[:1]), 1.0)
    magnification = magnification if low <= magnification <= high else 1.0
    calibrated = text(ds, 'PixelSpacingCalibrationType').upper() in ('GEOMETRY', 'FIDUCIAL')
    order = ['ImagerPixelSpacing', 'PixelSpacing', 'NominalScannedPixelSpacing', 'SpatialResolution']
    for keyword in ['PixelSpacing', *order] if calibrated else order:
        values = numbers(ds, keyword)
        values = values * 2 if keyword == 'SpatialResolution' and len(values) == 1 else values
        scale = magnification if keyword == 'ImagerPixelSpacing' else 1.0
        if len(values) == 2 and _plausible(values[0] / scale, values[1] / scale):
            return Spacing(values[0] / scale, values[1] / scale, keyword)
    return None


def _plausible(row_mm: float, column_mm: float) -> bool:
    low, high = PLAUSIBLE_SPACING_MM
    within = low <= row_mm <= high and low <= column_mm <= high
    return within and 1 / MAX_PIXEL_ASPECT <= row_mm / column_mm <= MAX_PIXEL_ASPECT


def _items(ds: Dataset, keyword: str) -> list[Dataset]:
    found = value(ds, keyword)
    return [item for item in found if isinstance(item, Dataset)] if isinstance(found, Sequence) else []


def _codes(ds: Dataset, keyword: str) -> list[str]:
    return [text(item, 'CodeValue') for item in _items(ds, keyword)]


def _word(ds: Dataset, words: frozenset[str]) -> str | None:
    """The one of ``words`` that a free text such as SeriesDescription ('R MLO') names; None if several."""
    for keyword in ('SeriesDescription', 'ProtocolName', 'AcquisitionDeviceProcessingDescription'):
        found = words & set(text(ds, keyword).upper().replace('_', ' ').replace('-', ' ').split())
        if len(found) == 1:
            return next(iter(found))
    return None
