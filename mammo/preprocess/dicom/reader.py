"""DICOM mammograms: what is accepted, and decoding.

DICOM file -> pydicom Dataset -> stored values (H, W)
"""

import logging
import os
import re
import warnings
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mammo.preprocess.dicom import bombs, headers
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.records.storage.png import MAX_PIXELS

logging.getLogger('pydicom').setLevel(logging.CRITICAL)  # its messages quote header values: names, dates
warnings.filterwarnings('ignore', module=r'pydicom\.')

PROJECTION_MODALITIES = frozenset({'RG', 'CR', 'DX', 'OT'})  # used for mammograms by digitisers and archives
FOR_PROCESSING_CLASS = '1.2.840.10008.5.1.4.1.1.1.2.1'
TOMOSYNTHESIS_CLASS = '1.2.840.10008.5.1.4.1.1.13.1.3'
QUALITY_WORDS = re.compile(r'FLAT ?FIELD|\bPHANTOM|\bQC\b')

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
    for keyword in ('ViewPosition', 'SeriesDescription', 'ImageType'):
        if QUALITY_WORDS.search(headers.text(ds, keyword).upper()):
            raise PreprocessError(Reason.QUALITY_IMAGE, f'{keyword} is {headers.text(ds, keyword)!r}')
    n_frames = (headers.numbers(ds, 'NumberOfFrames') or [1])[0]
    if n_frames > 1 or sop_class == TOMOSYNTHESIS_CLASS:
        frames = f'{n_frames:.0f} frames' if n_frames > 1 else 'one frame of a tomosynthesis object'
        raise PreprocessError(Reason.MULTI_FRAME, f'{frames}; give the 2D view of this exam')
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


def _check_format(ds: Dataset) -> None:
    photometric = headers.text(ds, 'PhotometricInterpretation').upper()
    samples = headers.numbers(ds, 'SamplesPerPixel') or [1]
    if samples != [1] or photometric not in ('MONOCHROME1', 'MONOCHROME2'):
        raise PreprocessError(
            Reason.COLOUR, f'PhotometricInterpretation is {photometric!r}, not one grey channel'
        )
    values = {}
    for keyword in ('Rows', 'Columns', 'BitsAllocated', 'BitsStored', 'PixelRepresentation'):
        parts = headers.numbers(ds, keyword)
        if len(parts) != 1 or parts[0] < 0 or parts[0] != int(parts[0]):
            raise PreprocessError(Reason.BAD_HEADER, f'{keyword} is {parts}, expected one whole number')
        values[keyword] = int(parts[0])
    if values['BitsAllocated'] not in (8, 16):
        raise PreprocessError(
            Reason.BIT_DEPTH, f'BitsAllocated is {values["BitsAllocated"]}, expected 8 or 16'
        )
    high_bit = headers.numbers(ds, 'HighBit')[:1] or [values['BitsStored'] - 1]
    if high_bit != [values['BitsStored'] - 1]:  # PS3.5 8.1.1; decoders differ in what they do with others
        text = f'HighBit is {high_bit[0]:g} and BitsStored {values["BitsStored"]}, expected one less than it'
        raise PreprocessError(Reason.BAD_HEADER, text)
    if not 0 < values['BitsStored'] <= values['BitsAllocated'] or values['PixelRepresentation'] > 1:
        raise PreprocessError(Reason.BAD_HEADER, f'these cannot be true together: {values}')
    n_pixels = values['Rows'] * values['Columns']
    if not 0 < n_pixels <= MAX_PIXELS:
        reason = Reason.TOO_LARGE if n_pixels else Reason.BAD_HEADER
        raise PreprocessError(
            reason, f'{values["Rows"]} x {values["Columns"]} pixels, expected 1 to {MAX_PIXELS}'
        )
