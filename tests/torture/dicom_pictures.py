"""Random pixels, padding, bit depths and LUTs, and what they show by an independent decoding.

random generator -> Dataset in a random encoding, expected display values; or that it must be refused
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from mammo.preprocess.dicom.display import display_values
from mammo.preprocess.dicom.pixels import stored_values
from mammo.preprocess.errors import PreprocessError, Reason
from tests.support.dicom_files import mammogram

SHAPE = (33, 32)  # the smallest that the encoder of JPEG 2000 takes
TOLERANCE = 1e-4  # of the range that is shown


class Case(NamedTuple):
    """A file, and the values of its pixels as they were meant."""

    ds: Dataset
    values: NDArray[np.int64]  # (H, W)
    padding: NDArray[np.bool_]  # (H, W)
    fits: bool  # whether the header can hold the values


def draw(rng: np.random.Generator) -> Case:
    """Draw a case; one in three has a header that is too narrow for its values."""
    bits = int(rng.integers(8, 17))
    is_signed = bool(rng.random() < 0.3)
    real_bits = bits if rng.random() < 0.67 else int(rng.integers(bits, 17))
    low, high = (-(2 ** (real_bits - 1)), 2 ** (real_bits - 1)) if is_signed else (0, 2**real_bits)
    values = rng.integers(low, high, SHAPE)
    padding = np.zeros(SHAPE, bool)
    tags: dict[str, Any] = dict(BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(is_signed))
    if rng.random() < 0.5:
        pad, width = int(rng.choice([low, high - 1, 0])), int(rng.integers(0, 4))
        end = min(high - 1, pad + width)
        tags['PixelPaddingValue'] = pad
        if rng.random() < 0.5:
            tags['PixelPaddingRangeLimit'] = end
        values[rng.random(SHAPE) < 0.3] = pad
        padding = (values >= pad) & (values <= tags.get('PixelPaddingRangeLimit', pad))
    words = values.astype(np.int16 if is_signed else np.uint16).view(np.uint16)
    used_low, used_high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if is_signed else (0, 2**bits)
    is_narrow = (values >= used_low) & (values < used_high)
    fits = bool((is_narrow | padding).all())
    ds = _file(words, bits, rng, overlay=bool(is_narrow.all()) and not is_signed and bits < 15)
    for keyword, value in {**tags, **_maps(rng, low, high)}.items():
        setattr(ds, keyword, value)
    return Case(ds, values, padding, fits)


def check(case: Case) -> str:
    """Read the file -> outcome in a word.

    Raises:
        AssertionError: a wrong picture, or a wrong refusal.
    """
    try:
        shown = display_values(stored_values(case.ds), case.ds)
    except PreprocessError as error:
        if case.fits or error.reason != Reason.BAD_HEADER:
            raise AssertionError(f'refused: {error.reason} {error}') from error
        return str(error.reason)
    assert case.fits, 'values that do not fit were shown'
    assert np.array_equal(shown.padding, case.padding), 'padding'
    expected_image = displayed(case)
    real = ~case.padding
    scale = max(1.0, float(np.ptp(expected_image[real])))
    worst = float(np.abs(shown.image - expected_image)[real].max())
    assert worst <= TOLERANCE * scale, f'{shown.rule}: off by {worst} of {scale}'
    return 'picture'


def displayed(case: Case) -> NDArray[np.float64]:
    """Pixel by pixel, by the formulas of PS3.3 C.11.1, C.11.2 and C.7.6.3.1.2."""
    ds, shown = case.ds, np.zeros(SHAPE)
    for value in np.unique(case.values):
        shown[case.values == value] = _voi(_modality(int(value), ds), ds)
    if ds.PhotometricInterpretation == 'MONOCHROME1':
        shown = 1 - shown
    has_voi = 'VOILUTSequence' in ds or 'WindowCenter' in ds
    return shown if has_voi else shown - shown[~case.padding].min()


def _file(words: NDArray[np.uint16], bits: int, rng: np.random.Generator, *, overlay: bool) -> Dataset:
    if overlay:
        words = words | (rng.integers(0, 2, SHAPE).astype(np.uint16) << (bits + 1))
    ds = mammogram(words, bits=16)
    encoding = rng.choice(3)
    if encoding:
        ds.compress((RLELossless, JPEG2000Lossless)[encoding - 1], generate_instance_uid=False)
    if overlay:
        ds.add_new((0x6000, 0x0100), 'US', 16)
        ds.add_new((0x6000, 0x0102), 'US', bits + 1)
    return ds


def _maps(rng: np.random.Generator, low: int, high: int) -> dict[str, Any]:
    """Random modality transform, VOI and photometric interpretation."""
    tags: dict[str, Any] = dict(PhotometricInterpretation=f'MONOCHROME{rng.integers(1, 3)}')
    choice = rng.random()
    if choice < 0.25:
        tags |= dict(
            RescaleSlope=round(float(rng.uniform(0.5, 3)), 3), RescaleIntercept=int(rng.integers(-99, 99))
        )
    elif choice < 0.5:
        tags['ModalityLUTSequence'] = [_lut(rng, low, high)]
    choice = rng.random()
    if choice < 0.25:
        tags['VOILUTSequence'] = [_lut(rng, low, high)]
    elif choice < 0.75:
        tags |= dict(WindowCenter=int(rng.integers(low, high)), WindowWidth=int(rng.integers(2, high - low)))
        tags['VOILUTFunction'] = str(rng.choice(['LINEAR', 'LINEAR_EXACT', 'SIGMOID']))
    return tags


def _lut(rng: np.random.Generator, low: int, high: int) -> Dataset:
    """Random table: 8 to 16 bits, 8-bit entries packed or not, first value signed where values are."""
    item, bits = Dataset(), int(rng.integers(8, 17))
    entries = rng.integers(0, 2**bits, int(rng.integers(2, 300)))
    first = int(rng.integers(low, high))
    item.add_new('LUTDescriptor', 'SS' if low < 0 else 'US', [len(entries), first, bits])
    if bits == 8 and rng.random() < 0.5:
        data = entries.astype('u1').tobytes()
        item.add_new('LUTData', 'OW', data + bytes(len(data) % 2))
    else:
        item.add_new('LUTData', 'US', entries.tolist())
    item.ModalityLUTType = 'US'
    return item


def _entry(value: float, item: Dataset) -> tuple[float, int]:
    n_entries, first, bits = item.LUTDescriptor
    data = item.LUTData
    data = data if isinstance(data, bytes) else list(np.atleast_1d(data))
    return float(data[min(max(round(value - first), 0), n_entries - 1)]), bits


def _modality(value: int, ds: Dataset) -> float:
    if 'ModalityLUTSequence' in ds:
        return _entry(value, ds.ModalityLUTSequence[0])[0]
    if 'RescaleSlope' in ds:
        return value * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    return value


def _voi(x: float, ds: Dataset) -> float:
    if 'VOILUTSequence' in ds:
        entry, bits = _entry(x, ds.VOILUTSequence[0])
        return entry / (2**bits - 1)
    if 'WindowCenter' not in ds:
        return x
    center, width = float(ds.WindowCenter), float(ds.WindowWidth)
    if ds.VOILUTFunction == 'SIGMOID':
        exponent = -4 * (x - center) / width
        return 1 / (1 + math.exp(exponent)) if exponent < 700 else 0.0
    if ds.VOILUTFunction == 'LINEAR':
        center, width = center - 0.5, width - 1
    return min(max((x - center) / width + 0.5, 0.0), 1.0)
