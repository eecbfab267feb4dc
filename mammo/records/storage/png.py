"""Image files of any depth and colour to 8-bit grey.

PNG or JPEG file -> uint8 image (H, W)
"""

import io
import os
import re
import stat
import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mammo.errors import UserError
from mammo.records.storage.plain_png import SIGNATURE, decode_plain_png

MAX_PIXELS = 64_000_000  # the largest detectors and film digitisers stay below 50 million
MAX_BYTES = 16 * MAX_PIXELS  # four channels of 16 bits, and as much again
EXIF, EXIF_WITHIN, ORIENTATION = re.compile(b'Exif|eXIf'), 2**16, 0x0112
BAD_IMAGE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises


class ImageFileError(UserError):
    """An image file that is missing or does not decode."""

    def __init__(self, message: str) -> None:
        # torch raises a dataloader worker's error anew with its traceback before the message
        super().__init__(message.rpartition(f'{type(self).__name__}: ')[2].strip())


class TooLargeError(ImageFileError):
    """An image that is larger than any mammogram."""


def read_grey(path: str | os.PathLike) -> tuple[NDArray, int]:
    """Read an image file as grey values, undamaged or not at all.

    Colour is turned to grey, an alpha channel is ignored, a palette is looked up, EXIF orientation followed.

    Returns:
        image (H, W) uint8 or uint16, and the number of bits its values use: for 16-bit files what
        the file declares (PNG chunk sBIT), else 16.

    Raises:
        ImageFileError: the file is missing, or is not a complete image.
    """
    return decode_grey(_read(Path(path)), path)


def decode_grey(data: bytes, path: str | os.PathLike) -> tuple[NDArray, int]:
    """The same from the content of a file; ``path`` is what messages call it."""
    header = _opened(data, path)
    image: NDArray | None = decode_plain_png(data)
    if image is None:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageFileError(f'{path}: not an image, or damaged ({len(data)} bytes)')
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(f'{path}: values are {image.dtype}, expected 8 or 16 bits; convert it to PNG')
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY)
    image = _upright(image, header, data)
    return image, (_declared_bits(data) or 16) if image.dtype == np.uint16 else 8


def to_uint8(image: NDArray, *, bits: int) -> NDArray[np.uint8]:
    """Scale grey values (H, W) to 0..255.

    8-bit images pass unchanged. The range of a 16-bit image is 0..2^bits - 1 if the file declared
    fewer than 16 bits, else the range that its values take.
    """
    if image.dtype == np.uint8:
        return image
    low, high = (0, 2**bits - 1) if bits < 16 else (int(image.min()), int(image.max()))
    scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def check_image(path: str | os.PathLike) -> None:
    """Decode every byte of an image file.

    Raises:
        ImageFileError: it is missing, truncated, damaged, or claims to be larger than any mammogram.
    """
    image = _opened(_read(Path(path)), path)
    try:
        image.load()
    except BAD_IMAGE as error:
        raise ImageFileError(f'{path}: {error}') from None


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
            return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no path can be made of this text
        raise ImageFileError(f'{path}: {getattr(error, "strerror", None) or error}') from None
    if stat.S_ISDIR(status.st_mode):
        raise ImageFileError(f'{path}: Is a directory')
    if stat.S_ISREG(status.st_mode):
        raise TooLargeError(f'{path}: larger than any mammogram ({status.st_size} bytes)')
    raise ImageFileError(f'{path}: no regular file')


def _opened(data: bytes, path: str | os.PathLike) -> Image.Image:
    """An image of which only the header was read: no memory is taken on its word."""
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ImageFileError(f'{path}: not an image, or damaged ({len(data)} bytes)') from None
    except BAD_IMAGE as error:
        raise ImageFileError(f'{path}: {error}') from None
    if image.mode == 'CMYK':
        raise ImageFileError(f'{path}: its colours are inks (CMYK), no grey values; export it as grey PNG')
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise TooLargeError(
            f'{path}: the header claims {width} x {height} pixels, a mammogram has at most {MAX_PIXELS}'
        )
    return image


def _upright(image: NDArray, header: Image.Image, data: bytes) -> NDArray:
    """Turned as cameras and viewers mean it (EXIF, tag Orientation), which the decoder leaves. (H, W)"""
    if not EXIF.search(data, 0, EXIF_WITHIN):  # else Pillow decodes a whole PNG to look for it
        return image
    orientation = header.getexif().get(ORIENTATION, 1)
    turned = image.T if orientation in (5, 6, 7, 8) else image
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    return np.ascontiguousarray(turned[::-1] if orientation in (3, 4, 7, 8) else turned)


def _declared_bits(data: bytes) -> int | None:
    """Significant bits of a PNG file's samples (PNG specification, 11.3.2.7, chunk sBIT)."""
    position = len(SIGNATURE)
    while data.startswith(SIGNATURE) and position + 8 <= len(data):
        length, kind = struct.unpack('>I4s', data[position : position + 8])
        if kind == b'sBIT' and length:
            return data[position + 8]
        if kind == b'IDAT':
            break
        position += 12 + length
    return None
