"""DICOM mammograms: what is accepted, and decoding.

DICOM file -> pydicom Dataset -> stored values (H, W)
"""

import logging
import os
import warnings
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mammo.preprocess import bombs, headers
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.records.png import MAX_PIXELS

logging.getLogger('pydicom').setLevel(logging.CRITICAL)  # its messages quote header values: names, dates
warnings.filterwarnings('ignore', module=r'pydicom\.')

PROJECTION_MODALITIES = frozenset({'RG', 'CR', 'DX', 'OT'})  # used for mammograms by digitisers and archives
FOR_PROCESSING_CLASS = '1.2.840.10008.5.1.4.1.1.1.2.1'
TOMOSYNTHESIS_CLASS = '1.2.840.10008.5.1.4.1.1.13.1.3'
QUALITY_VIEWS = frozenset({'FLATFIELD', 'FLAT FIELD', 'PHANTOM', 'SPECIMEN', 'QC'})
MAX_COMPRESSION = 1000  # mammograms reach about 100; more is a header that lies about tiny data

ForProcessing = Literal['refuse', 'tone']


def read(path: str | os.PathLike, *, header_only: bool = False) -> Dataset:
    """Read a DICOM file, with or without preamble.

    Raises:
        PreprocessError: UNREADABLE, EMPTY_FILE, NOT_DICOM, TRUNCATED, BAD_HEADER or TOO_LARGE.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            start = file.read(132)
    except OSError as error:
        raise PreprocessError(Reason.UNREADABLE, f'cannot be read: {error.strerror}') from None
    if not start:
        raise PreprocessError(Reason.EMPTY_FILE, 'the file has zero bytes; copy it again')
    bare = start[:2] in (b'\x02\x00', b'\x08\x00')  # starts with group 2 or 8: only the preamble is missing
    if start[128:132] != b'DICM' and not bare:
        raise PreprocessError(Reason.NOT_DICOM, 'neither a DICOM preamble nor a DICOM group at the start')
    try:
        bombs.check_inflation(path, meta_at=0 if bare else 132)
        ds = pydicom.dcmread(path, force=bare, stop_before_pixels=header_only)
    except PreprocessError:
        raise
    except EOFError:
        raise PreprocessError(Reason.TRUNCATED, 'the file ends inside the header; copy it again') from None
    except Exception as error:  # a damaged file makes the parser raise nearly anything
        raise PreprocessError(Reason.BAD_HEADER, f'cannot be parsed ({type(error).__name__})') from None
    if 'TransferSyntaxUID' not in ds.file_meta:
        implicit = ds.original_encoding[0]
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return ds


def check_usable(ds: Dataset, *, for_processing: ForProcessing = 'refuse') -> None:
    """Refuse what is not one greyscale projection of one breast; looks at the header only.

    Raises:
        PreprocessError: NOT_MAMMOGRAM, QUALITY_IMAGE, MULTI_FRAME, NO_PIXELS, COLOUR, BIT_DEPTH,
            BAD_HEADER, TOO_LARGE or FOR_PROCESSING.
    """
    modality, sop_class = headers.text(ds, 'Modality'), headers.text(ds, 'SOPClassUID')
    if modality != 'MG' and not (modality in PROJECTION_MODALITIES and headers.is_breast(ds)):
        raise PreprocessError(Reason.NOT_MAMMOGRAM, f'Modality is {modality!r} and no tag names a breast')
    if headers.text(ds, 'ViewPosition').upper() in QUALITY_VIEWS or headers.view(ds) == 'SPECIMEN':
        raise PreprocessError(Reason.QUALITY_IMAGE, f'ViewPosition is {headers.text(ds, "ViewPosition")!r}')
    frames = (headers.numbers(ds, 'NumberOfFrames') or [1])[0]
    if frames > 1 or sop_class == TOMOSYNTHESIS_CLASS:
        raise PreprocessError(Reason.MULTI_FRAME, f'{frames:.0f} frames; give the 2D view of this exam')
    if 'Rows' not in ds or 'Columns' not in ds:
        raise PreprocessError(Reason.NO_PIXELS, 'no Rows or Columns: a header without image')
    _check_format(ds)
    if is_for_processing(ds) and for_processing == 'refuse':
        raise PreprocessError(
            Reason.FOR_PROCESSING,
            'raw detector values; use the For Presentation twin, or --for-processing tone',
        )


def is_for_processing(ds: Dataset) -> bool:
    """PS3.3 C.8.11.7.1.2 and C.8.11.1: PresentationIntentType, or the SOP class made for it."""
    intent = headers.text(ds, 'PresentationIntentType').upper()
    return intent == 'FOR PROCESSING' or headers.text(ds, 'SOPClassUID') == FOR_PROCESSING_CLASS


def stored_values(ds: Dataset) -> NDArray[Any]:
    """Decode the pixel data with the first decoder that can. Dataset -> integers (H, W).

    Raises:
        PreprocessError: NO_PIXELS, TRUNCATED or DECODE_FAILED.
    """
    data = headers.value(ds, 'PixelData')
    if not data:
        raise PreprocessError(Reason.NO_PIXELS, 'no PixelData: the image was removed from the file')
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax not in AllTransferSyntaxes:
        raise PreprocessError(Reason.DECODE_FAILED, f'unknown transfer syntax {str(syntax)[:64]!r}')
    expected = ds.Rows * ds.Columns * ds.BitsAllocated // 8
    if len(data) * (MAX_COMPRESSION if syntax.is_compressed else 1) < expected:
        raise PreprocessError(Reason.TRUNCATED, f'PixelData has {len(data)} of {expected} bytes')
    try:
        if syntax.is_encapsulated:
            bombs.check_codestream(ds)
        stored = ds.pixel_array
    except PreprocessError:
        raise
    except Exception as error:  # every decoder has exceptions of its own
        raise PreprocessError(Reason.DECODE_FAILED, f'{syntax.name}: {_first_lines(error)}') from None
    if stored.shape != (ds.Rows, ds.Columns):
        raise PreprocessError(
            Reason.DECODE_FAILED, f'decodes to shape {stored.shape}, the header says {(ds.Rows, ds.Columns)}'
        )
    return stored


def resample(image: NDArray[np.float32], spacing: headers.Spacing, target_mm: float) -> NDArray[np.float32]:
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


def upright(image: NDArray[Any], turn: headers.Turn) -> NDArray[Any]:
    """Mirror and turn an image as ``headers.turn`` says. (H, W) -> (H, W) or (W, H)."""
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if turn.mirror else image, turn.quarter_turns))


def to_upright(before: tuple[int, ...], after: tuple[int, ...], turn: headers.Turn) -> NDArray[np.float64]:
    """Where ``resample`` to ``after`` and then ``upright`` bring a pixel: matrix (3, 3) on (x, y, 1)."""
    (height, width), (sy, sx) = after, np.divide(after, before)
    matrix = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1.0]])  # centres of pixels
    if turn.mirror:
        matrix = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
    for _ in range(turn.quarter_turns):  # counterclockwise: x' = y, y' = width - 1 - x
        matrix = np.array([[0, 1, 0], [-1, 0, width - 1], [0, 0, 1]]) @ matrix
        height, width = width, height
    return matrix


def _check_format(ds: Dataset) -> None:
    photometric = headers.text(ds, 'PhotometricInterpretation').upper()
    samples = headers.numbers(ds, 'SamplesPerPixel') or [1]
    if samples != [1] or photometric not in ('MONOCHROME1', 'MONOCHROME2'):
        raise PreprocessError(
            Reason.COLOUR, f'PhotometricInterpretation is {photometric!r}, not one grey channel'
        )
    values = {}
    for keyword in ('Rows', 'Columns', 'BitsAllocated', 'BitsStored', 'PixelRepresentation'):
        found = headers.numbers(ds, keyword)
        if len(found) != 1 or found[0] < 0 or found[0] != int(found[0]):
            raise PreprocessError(Reason.BAD_HEADER, f'{keyword} is {found}, expected one whole number')
        values[keyword] = int(found[0])
    if values['BitsAllocated'] not in (8, 16):
        raise PreprocessError(
            Reason.BIT_DEPTH, f'BitsAllocated is {values["BitsAllocated"]}, expected 8 or 16'
        )
    if not 0 < values['BitsStored'] <= values['BitsAllocated'] or values['PixelRepresentation'] > 1:
        raise PreprocessError(Reason.BAD_HEADER, f'these cannot be true together: {values}')
    n_pixels = values['Rows'] * values['Columns']
    if not 0 < n_pixels <= MAX_PIXELS:
        reason = Reason.TOO_LARGE if n_pixels else Reason.BAD_HEADER
        raise PreprocessError(
            reason, f'{values["Rows"]} x {values["Columns"]} pixels, expected 1 to {MAX_PIXELS}'
        )


def _first_lines(error: Exception) -> str:
    return ' '.join(str(error).split())[:300] or type(error).__name__
