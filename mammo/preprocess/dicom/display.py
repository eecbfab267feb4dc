"""Stored values to what a reader would see, by the rules of PS3.3 C.7.6.3, C.7.5 and C.11.

Integers (H, W), header -> float32 image (H, W), brighter = denser -> uint8 image (H, W)
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_rescale, apply_windowing

from mammo.preprocess.dicom import headers, pixels
from mammo.preprocess.errors import PreprocessError, Reason

SCALE_PERCENTILES = (0.01, 99.99)  # of the breast; single hot pixels and clips do not set the scale
LABEL_BINS, LABEL_PEAK_BINS, LABEL_GAP_BINS = 64, 3, 5  # of the histogram of the breast, of text, below it
LABEL_SPARSE_FRAC = 1.5e-4  # of the breast in a bin of the gap: edges of letters
LABEL_FRACS = (1e-3, 0.05)  # of the breast that text may cover; less may be a clip or a calcification
VOI_RULES = ('LUT', 'LINEAR', 'SIGMOID')  # each gives values 0..1


class Display(NamedTuple):
    """Display values and the rule they come from ('LUT NORMAL', 'SIGMOID 1', 'none', 'tone curve')."""

    image: NDArray[np.float32]  # (H, W); 0..1 after a VOI, from 0 on without
    rule: str
    padding: NDArray[np.bool_]  # (H, W); what is no part of the image


def display_values(stored: NDArray, ds: Dataset, *, voi: str | None = None, tone: bool = False) -> Display:
    """Modality LUT, VOI, MONOCHROME1 inversion and padding, in the order of PS3.3. (H, W) -> (H, W).

    Every step maps grey values one by one, so they are applied to the list of possible values, which
    then serves as a table for the image: exact, and fast on 14 million pixels.

    Args:
        stored: decoded integers.
        ds: the header.
        voi: index or explanation ('HARDER') of the VOI view; default and fallback is the first one.
        tone: use the tone curve for raw detector values in place of the VOI.

    Raises:
        PreprocessError: BAD_HEADER for a LUT or window that cannot be applied.
    """
    padding = pixels.is_padding(stored, ds)
    if padding.all():
        raise PreprocessError(Reason.NO_BREAST, 'every pixel is padding')
    stored = np.where(padding, stored[~padding][0], stored) if padding.any() else stored
    lowest, highest = int(stored.min()), int(stored.max())
    # The values there are, not 2^BitsStored: a table of 12 bits goes with 11 bits in real headers.
    values = np.arange(lowest, highest + 1)
    try:
        table, rule = _tone_curve(values, ds) if tone else _presented(values, ds, voi)
    except PreprocessError:
        raise
    except Exception as error:  # damaged LUTs and windows raise nearly anything
        raise PreprocessError(Reason.BAD_HEADER, f'modality LUT or VOI: {type(error).__name__}') from None
    if not np.isfinite(table).all():
        raise PreprocessError(Reason.BAD_HEADER, 'modality LUT or VOI gives values that are not finite')
    index = stored if lowest == 0 else stored.astype(np.int32) - lowest
    if not rule.startswith(VOI_RULES):
        present = np.bincount(index.ravel(), minlength=len(table)) > 0
        table = table - table[present].min()  # no fixed range: background at 0
    image = np.take(table.astype(np.float32), index)
    if padding.any():
        image[padding] = image[~padding].min()  # PS3.3 C.7.5.1.1.2: background, whatever it holds
    return Display(image, rule, padding)


def to_uint8(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Scale the breast to 0..255; a label outside the mask has no say, and becomes 0. (H, W) -> (H, W).

    Raises:
        PreprocessError: NO_BREAST if the masked pixels are all equal.
    """
    values = image[mask]
    high = np.percentile(values[values <= _label_edge(values)], SCALE_PERCENTILES[1])
    low = np.percentile(values[values >= -_label_edge(-values)], SCALE_PERCENTILES[0])
    if not low < high:
        raise PreprocessError(Reason.NO_BREAST, f'every pixel of the breast shows {low:g}: nothing to see')
    grey = (image - np.float32(low)) * np.float32(255 / (high - low))
    return np.where(mask, np.rint(grey.clip(0, 255)), 0).astype(np.uint8)


def _label_edge(values: NDArray[np.float32]) -> float:
    """Value above which there is burned-in text only, infinity if there is none. (n,) -> value

    Text is of one grey and far brighter than the tissue it lies on: a peak at the end of the histogram, few
    pixels in all, with nearly nothing below it. Tissue that a window cuts off has its neighbours below.
    """
    counts, edges = np.histogram(values, LABEL_BINS)
    n_above = counts[-LABEL_PEAK_BINS:].sum()
    gap = counts[:-LABEL_PEAK_BINS][::-1] < LABEL_SPARSE_FRAC * len(values)
    n_gap = int(gap.argmin())
    is_text = LABEL_FRACS[0] < n_above / len(values) < LABEL_FRACS[1] and n_gap >= LABEL_GAP_BINS
    return float(edges[LABEL_BINS - LABEL_PEAK_BINS - n_gap]) if is_text else np.inf


def _presented(values: NDArray, ds: Dataset, voi: str | None) -> tuple[NDArray, str]:
    if luts := ds.get('ModalityLUTSequence') or []:  # PS3.3 C.11.1: the table, or else the straight line
        modality = _looked_up(values, luts[0], ds)[0]
    else:
        modality = np.asarray(apply_rescale(values, ds), np.float64)
    displayed, rule = _voi(modality, ds, voi)
    # PS3.3 C.7.6.3.1.2: MONOCHROME1 shows the lowest value as white, after the VOI transform. A
    # PresentationLUTShape INVERSE says the same once more (C.8.11.1.1), it does not undo it.
    if headers.text(ds, 'PhotometricInterpretation').upper() == 'MONOCHROME1':
        displayed = 1 - displayed
    return displayed, rule


def _voi(values: NDArray, ds: Dataset, voi: str | None) -> tuple[NDArray, str]:
    """Display values 0..1 (unscaled without a VOI), so that tables of 12 and windows of 11 bits agree."""
    luts = ds.get('VOILUTSequence') or []
    if luts:  # PS3.3 C.11.2: either may be used if both are there; the table is the vendor's own curve
        names = _views(ds)
        index = _choose(names, voi) or 0
        entries, bits = _looked_up(values, luts[index], ds)
        return entries / (2**bits - 1), f'LUT {names[index] or index}'
    centers, widths = headers.numbers(ds, 'WindowCenter'), headers.numbers(ds, 'WindowWidth')
    if not centers and not widths:
        return values, 'none'
    # NOTE[DIFF]: the first of several windows, as viewers do; the published code took the last.
    index = _choose(_views(ds), voi) or 0
    if len(centers) != len(widths) or not centers:
        raise PreprocessError(Reason.BAD_HEADER, f'WindowCenter is {centers} but WindowWidth is {widths}')
    function = headers.text(ds, 'VOILUTFunction').upper() or 'LINEAR'
    window = Dataset()  # one unsigned bit: pydicom then gives 0..1, whatever BitsStored claims
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = centers[index], widths[index], function
    window.PhotometricInterpretation, window.BitsStored, window.PixelRepresentation = 'MONOCHROME2', 1, 0
    try:
        with np.errstate(over='ignore'):  # exp in a narrow sigmoid: 1 / inf is the 0 that is meant
            return apply_windowing(values, window), f'{function} {index}'  # PS3.3 C.11.2.1.2, C.11.2.1.3
    except ValueError:
        text = f'VOILUTFunction is {function!r} with WindowWidth {widths[index]:g}'
        raise PreprocessError(Reason.BAD_HEADER, text) from None


def has_view(ds: Dataset, voi: str) -> bool:
    """Whether there is a VOI view of this index or explanation."""
    return _choose(_views(ds), voi) is not None


def _views(ds: Dataset) -> list[str]:
    """Explanations of the VOI views, '' where there is none."""
    if luts := ds.get('VOILUTSequence') or []:
        return [headers.text(item, 'LUTExplanation') for item in luts]
    n_windows = len(headers.numbers(ds, 'WindowCenter'))
    names = headers.text(ds, 'WindowCenterWidthExplanation').split('\\')
    return [*names, *[''] * n_windows][:n_windows]


def _choose(names: list[str], voi: str | None) -> int | None:
    """Number of a view, None if there is no such one."""
    if voi is not None and voi.isdecimal() and int(voi) < len(names):
        return int(voi)
    wanted = [name.casefold() for name in names]
    return wanted.index(voi.casefold()) if voi and voi.casefold() in wanted else None


def _looked_up(values: NDArray, item: Dataset, ds: Dataset) -> tuple[NDArray, int]:
    """Entries of a modality or VOI LUT for the values, and how many bits an entry has."""
    # PS3.3 C.11.1.1 and C.11.2.1.1. Not pydicom's: it counts entries in the type of the entries, so that an
    # 8-bit table of more than 256 entries wraps around, and it refuses 9 and 12 bits and packed entries.
    n_entries, first, bits = (int(part) for part in headers.numbers(item, 'LUTDescriptor'))
    n_entries = n_entries % 2**16 or 2**16  # written as 0, or with a sign
    table = _entries(item.LUTData, n_entries, bits, ds)
    if ds.get('PixelRepresentation') == 1 and first >= 2**15:
        first -= 2**16  # the first mapped value is signed when the values are
    if not 8 <= bits <= 16 or len(table) != n_entries:
        text = f'LUT has {len(table)} of {n_entries} entries of {bits} bits'
        raise PreprocessError(Reason.BAD_HEADER, text)
    index = np.rint(values - first).clip(0, len(table) - 1).astype(np.int64)
    return table[index], bits


def _entries(data: Any, n_entries: int, bits: int, ds: Dataset) -> NDArray[np.float64]:
    """LUT data as words, or as 8-bit entries of which each word holds two, the lower one first."""
    order = '>' if isinstance(data, bytes) and ds.original_encoding[1] is False else '<'
    if isinstance(data, bytes) and len(data) % 2:
        words = np.frombuffer(data, 'u1')
    elif isinstance(data, bytes):
        words = np.frombuffer(data, f'{order}u2')
    else:
        words = np.atleast_1d(np.asarray(data, np.int64)).astype('<u2')
    if bits <= 8 and 2 * len(words) in (n_entries, n_entries + 1):
        words = words.astype('<u2').view('u1')
    return words[:n_entries].astype(np.float64)


def _tone_curve(values: NDArray, ds: Dataset) -> tuple[NDArray, str]:
    """Raw detector values to density: the logarithm of the exposure, or the values if they are one."""
    # PS3.3 C.8.11.3.1.2: the sign tells whether more X-ray gives a higher (1) or a lower (-1) value.
    sign = (headers.numbers(ds, 'PixelIntensityRelationshipSign') or [1.0])[0]
    if headers.text(ds, 'PixelIntensityRelationship') == 'LOG':
        return -sign * values.astype(np.float64), 'tone curve'
    exposure = values if sign > 0 else values[-1] - values
    return -np.log(np.maximum(exposure, 1)), 'tone curve'
