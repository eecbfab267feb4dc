"""Fast decoding of the PNG files that OpenCV and our preprocessing write: 8-bit grey, one filter in all rows.

bytes of a file -> uint8 image (H, W), or None for any other, unusual or damaged file
"""

import struct
from collections.abc import Iterator

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

SIGNATURE = b'\x89PNG\r\n\x1a\n'
GREY_8_BIT = (8, 0, 0, 0, 0)  # depth, colour type, compression, filter method, interlace
UNDERSTOOD = {b'IHDR', b'IDAT', b'IEND', b'pHYs', b'tEXt', b'zTXt', b'iTXt', b'tIME'}
NONE, SUB, UP = range(3)  # filter types, PNG specification 9.2


def decode_plain_png(data: bytes) -> NDArray[np.uint8] | None:
    """Decode a file; what returns None is for a complete decoder, which also knows what is wrong with it."""
    try:
        chunks = list(_chunks(data))
        width, height, *form = struct.unpack('>2I5B', chunks[0][1])
        if (chunks[0][0], *form) != (b'IHDR', *GREY_8_BIT) or chunks[-1][0] != b'IEND' or not width * height:
            return None
        size, stream = height * (width + 1), isal_zlib.decompressobj()
        content = stream.decompress(b''.join(body for kind, body in chunks if kind == b'IDAT'), size + 1)
    except (ValueError, IndexError, struct.error, isal_zlib.error):  # type: ignore[misc]  # wrong in its stub
        return None
    if len(content) != size or not stream.eof:
        return None
    return _unfiltered(np.frombuffer(content, np.uint8).reshape(height, width + 1))


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of each chunk (PNG specification, 5.3)."""
    if not data.startswith(SIGNATURE):
        raise ValueError('not a PNG file')
    view, start = memoryview(data), len(SIGNATURE)
    while start < len(data):
        length, kind = struct.unpack_from('>I4s', data, start)
        end = start + 8 + length
        (crc,) = struct.unpack_from('>I', data, end)
        if kind not in UNDERSTOOD or crc != isal_zlib.crc32(view[start + 4 : end]):
            raise ValueError(f'chunk {kind!r}')
        yield kind, view[start + 8 : end]
        start = end + 4


def _unfiltered(lines: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Rows of filter type and differences (H, 1 + W) -> sums along rows or columns, modulo 256 (H, W)."""
    kind, differences = lines[0, 0], lines[:, 1:]
    if kind > UP or (lines[:, 0] != kind).any():
        return None
    if kind == NONE:
        return differences.copy()
    sums = cv2.integral(differences)  # (H + 1, W + 1) int32, over all above and to the left
    sums = cv2.extractChannel(sums.astype('<i4', copy=False).view(np.uint8).reshape(*sums.shape, 4), 0)
    return sums[1:, 1:] - (sums[:-1, 1:] if kind == SUB else sums[1:, :-1])
