"""Small files that would take far more memory than any mammogram, found before anything is unpacked.

DICOM file, or Dataset with compressed pixels -> nothing, or PreprocessError
"""

import struct
import zlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from mammo.preprocess.errors import PreprocessError, Reason
from mammo.records.storage.png import MAX_PIXELS

MAX_INFLATED = 4 * MAX_PIXELS  # bytes: 16-bit pixels, and as much again
CHUNK = 2**20
J2K_START = b'\xff\x4f\xff\x51'  # ISO/IEC 15444-1 A.4.1, A.5.1: SOC, SIZ
JPEG_START = b'\xff\xd8'
NO_FRAME = (0xC4, 0xC8, 0xCC)  # between the JPEG frame headers SOF0 to SOF15: DHT, JPG, DAC
JPEG_LS_FRAME = 0xF7


def check_inflation(path: Path, meta_at: int) -> None:
    """Refuse a deflated data set that grows beyond all mammograms; its meta group starts at ``meta_at``.

    Raises:
        PreprocessError: TOO_LARGE.
    """
    with path.open('rb') as file:
        file.seek(meta_at)
        meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
        if meta.get('TransferSyntaxUID') != DeflatedExplicitVRLittleEndian:
            return
        inflater, n_bytes, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, file.read(CHUNK)
        while rest and n_bytes <= MAX_INFLATED:
            n_bytes += len(inflater.decompress(rest, CHUNK))
            rest = inflater.unconsumed_tail or (b'' if inflater.eof else file.read(CHUNK))
    if n_bytes > MAX_INFLATED:
        raise PreprocessError(Reason.TOO_LARGE, f'inflates to more than {MAX_INFLATED} bytes')


def check_codestream(ds: Dataset) -> None:
    """Refuse compressed pixels of another size than the header says.

    Raises:
        PreprocessError: DECODE_FAILED.
    """
    size = codestream_size(get_frame(ds.PixelData, 0, number_of_frames=1))
    if size not in (None, (ds.Rows, ds.Columns)):
        raise PreprocessError(
            Reason.DECODE_FAILED, f'compressed pixels are {size}, the header says {(ds.Rows, ds.Columns)}'
        )


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Height and width that JPEG, JPEG-LS or JPEG 2000 data announce; None if they announce none.

    Example:
        >>> codestream_size(bytes.fromhex('ffd8 ffc3 000b 08 0140 00f0 01 012200'))
        (320, 240)
    """
    at = data.find(J2K_START)
    if 0 <= at <= len(data) - 24:
        right, bottom, left, top = struct.unpack_from('>4I', data, at + 8)
        return bottom - top, right - left
    at = 2 if data.startswith(JPEG_START) else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == JPEG_LS_FRAME or (0xC0 <= kind <= 0xCF and kind not in NO_FRAME):
            height, width = struct.unpack_from('>2H', data, at + 5)
            return height, width
        at += 1 if kind == 0xFF else 2 + struct.unpack_from('>H', data, at + 2)[0]
    return None
