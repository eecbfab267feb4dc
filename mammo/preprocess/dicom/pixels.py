"""Stored values of a DICOM file, without what lies in unused bits.

Dataset -> integers (H, W), signed or not as PixelRepresentation says; pixels of padding keep their value
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import AllTransferSyntaxes

from mammo.preprocess.dicom import bombs, headers
from mammo.preprocess.errors import PreprocessError, Reason

MAX_COMPRESSION = 1000  # mammograms reach about 100; more is a header that lies about tiny data
MANY_GREYS = 64  # more than a burned-in label has
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)  # PS3.5 7.6


def stored_values(ds: Dataset) -> NDArray[Any]:
    """Decode the pixel data with the first decoder that can, whatever the encoding to the same values.

    Raises:
        PreprocessError: NO_PIXELS, TRUNCATED, DECODE_FAILED, or BAD_HEADER for values beyond BitsStored, or
            of the other sign than PixelRepresentation says.
    """
    values = used_bits(_words(ds), ds)
    if _is_sign_wrong(values, ds):
        text = (
            f'PixelRepresentation is {ds.PixelRepresentation}, but the picture is torn unless it is the other'
        )
        raise PreprocessError(Reason.BAD_HEADER, text)
    return values


def used_bits(words: NDArray[Any], ds: Dataset) -> NDArray[Any]:
    """PS3.5 8.1.1: BitsStored of each word are the value; above it there may be a declared overlay.

    What else stands there is part of a value (BitsStored is too small) or an overlay that nobody
    declared; nobody can tell which, so it is refused. (H, W) words -> (H, W) values.

    Raises:
        PreprocessError: BAD_HEADER.
    """
    bits, is_signed = int(ds.BitsStored), ds.PixelRepresentation == 1
    words = words.astype(words.dtype.newbyteorder('='), copy=False)
    raw = words.view(f'u{words.itemsize}')
    if planes := overlay_bits(ds):
        raw = raw & raw.dtype.type(~planes & np.iinfo(raw.dtype).max)
    values = raw if not is_signed else _signed(raw, bits)
    if not int(raw.max()) >> bits:  # of unsigned values nearly always
        return values
    extended = (raw >> (bits - 1)) == np.iinfo(raw.dtype).max >> (bits - 1)  # a negative number, as usual
    is_beyond = (raw >> bits != 0) & ~extended if is_signed else raw >> bits != 0
    if not is_beyond.any():
        return values
    whole = raw.view(f'i{raw.itemsize}') if is_signed else raw
    if (is_beyond & ~is_padding(whole, ds)).any():
        largest = int(np.where(is_beyond, whole, 0).max())
        raise PreprocessError(
            Reason.BAD_HEADER,
            f'values such as {largest} do not fit into BitsStored {bits}: a value is cut, or something '
            'undeclared lies in the unused bits',
        )
    return np.where(is_beyond, whole.astype(np.int32), values.astype(np.int32))


def is_padding(values: NDArray[Any], ds: Dataset) -> NDArray[np.bool_]:
    """PS3.3 C.7.5.1.1.2: pixels of one value, or of a range of them, are no part of the image."""
    keywords = ('PixelPaddingValue', 'PixelPaddingRangeLimit')
    bounds = [int(number) for keyword in keywords for number in headers.numbers(ds, keyword)[:1]]
    if 'PixelPaddingValue' not in ds or not bounds:
        return np.zeros(values.shape, np.bool_)
    word = 2 ** int(ds.BitsAllocated)
    if ds.PixelRepresentation == 1:  # the tags may be written without a sign, or with one too many
        bounds = [bound - word if bound >= word // 2 else bound for bound in bounds]
    else:
        bounds = [bound % word for bound in bounds]
    return (values >= min(bounds)) & (values <= max(bounds))


def overlay_bits(ds: Dataset) -> int:
    """Bits above the values that hold overlay planes (PS3.3 C.9.2, retired), as a mask of the word."""
    planes = 0
    for group in OVERLAY_GROUPS:
        if (group, 0x0102) not in ds or (group, 0x3000) in ds:
            continue
        allocated, position = (headers.numbers(ds, (group, element)) for element in (0x0100, 0x0102))
        if allocated == [ds.BitsAllocated] and position and ds.BitsStored <= position[0] < ds.BitsAllocated:
            planes |= 1 << int(position[0])
    return planes


def _words(ds: Dataset) -> NDArray[Any]:
    """Decoded words with all their bits."""
    data = headers.value(ds, 'PixelData')
    if not data:
        text = 'no PixelData: the image was removed, or the file is cut off; copy it again'
        raise PreprocessError(Reason.NO_PIXELS, text)
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax not in AllTransferSyntaxes:
        raise PreprocessError(Reason.DECODE_FAILED, f'unknown transfer syntax {str(syntax)[:64]!r}')
    expected = ds.Rows * ds.Columns * ds.BitsAllocated // 8
    if len(data) * (MAX_COMPRESSION if syntax.is_encapsulated else 1) < expected:
        raise PreprocessError(Reason.TRUNCATED, f'PixelData has {len(data)} of {expected} bytes')
    if not syntax.is_encapsulated and len(data) >= expected + expected // ds.Rows:  # a row; padding is less
        text = f'PixelData has {len(data)} bytes, {ds.Rows} x {ds.Columns} pixels take {expected}'
        raise PreprocessError(Reason.BAD_HEADER, text)
    try:
        if syntax.is_encapsulated:
            bombs.check_codestream(ds)
        words = pixel_array(ds, raw=True, correct_unused_bits=False, bits_stored=int(ds.BitsAllocated))
    except PreprocessError:
        raise
    except Exception as error:  # every decoder has exceptions of its own
        reason = ' '.join(str(error).split())[:300] or type(error).__name__
        raise PreprocessError(Reason.DECODE_FAILED, f'{syntax.name}: {reason!r}') from None
    if words.shape != (ds.Rows, ds.Columns):
        raise PreprocessError(
            Reason.DECODE_FAILED, f'decodes to shape {words.shape}, the header says {(ds.Rows, ds.Columns)}'
        )
    return words


def _is_sign_wrong(values: NDArray[Any], ds: Dataset) -> bool:
    """Whether grey values that go on in the other reading of their sign are torn apart in this one."""
    quarter = 2 ** (int(ds.BitsStored) - 2)
    if ds.PixelRepresentation == 0:  # negative numbers lie at the upper end, and nothing between
        upper = values >= 3 * quarter
        is_parted = upper.any() and not ((values > quarter) & ~upper).any()
        return bool(is_parted and len(np.unique(values[upper])) > MANY_GREYS)
    if values.min() >= 0:
        return False
    rows, is_image = values[::4].astype(np.int32), ~is_padding(values[::4], ds)
    pairs = is_image[:, 1:] & is_image[:, :-1]
    readings = rows, np.where(rows < 0, rows + 4 * quarter, rows)
    signed, unsigned = (((abs(np.diff(v)) > 3 * quarter) & pairs).sum() for v in readings)
    return bool(signed > 10 * (unsigned + 1))


def _signed(raw: NDArray[Any], bits: int) -> NDArray[Any]:
    unused = 8 * raw.itemsize - bits
    return (raw << unused).view(f'i{raw.itemsize}') >> unused
