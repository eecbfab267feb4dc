"""The fast decoder gives what OpenCV's gives, or leaves the file to it."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from mammo.records.storage.plain_png import decode_plain_png
from mammo.records.storage.png import ImageFileError, decode_grey

FILTERS = dict(none=cv2.IMWRITE_PNG_FILTER_NONE, sub=cv2.IMWRITE_PNG_FILTER_SUB, up=cv2.IMWRITE_PNG_FILTER_UP)
IMAGE = np.random.default_rng(0).integers(0, 256, (23, 17), dtype=np.uint8)


def png(image: NDArray, *options: int) -> bytes:
    return cv2.imencode('.png', image, options)[1].tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


@pytest.mark.parametrize('kind', FILTERS)
@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (8, 1), (3, 5), (64, 33), (301, 207)])
def test_image_comes_back(shape: tuple[int, int], kind: str) -> None:
    for seed in range(5):
        image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        for one in (image, np.full(shape, 255, np.uint8), np.zeros(shape, np.uint8), image // 9 * 9):
            found = decode_plain_png(png(one, cv2.IMWRITE_PNG_FILTER, FILTERS[kind]))
            assert found is not None
            assert np.array_equal(found, one)
            assert found.flags.c_contiguous
            assert found.flags.writeable


def test_default_of_opencv_is_decoded_and_sums_beyond_32_bits_are_right() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4400, 4300), dtype=np.uint8)  # sums near 2.4e9
    found = decode_plain_png(png(image))
    assert found is not None
    assert np.array_equal(found, image)


def test_text_and_resolution_do_not_matter() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text('made', 'here')
    stream = io.BytesIO()
    Image.fromarray(IMAGE[:1]).save(stream, 'png', pnginfo=info, dpi=(300, 300))
    assert np.array_equal(decode_grey(stream.getvalue(), 'a.png')[0], IMAGE[:1])


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no image',
        png(IMAGE)[:8],
        png(IMAGE.astype(np.uint16) * 200),
        png(np.repeat(IMAGE[..., None], 3, axis=2)),
        png(IMAGE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
        png(IMAGE, cv2.IMWRITE_PNG_BILEVEL, 1),
        cv2.imencode('.jpg', IMAGE)[1].tobytes(),
        png(IMAGE).replace(png(IMAGE)[33:], chunk(b'tRNS', b'\0\7') + png(IMAGE)[33:]),
    ],
    ids=['empty', 'text', 'signature', '16-bit', 'colour', 'paeth', 'bilevel', 'jpeg', 'transparent'],
)
def test_other_files_are_left_to_opencv(content: bytes) -> None:
    assert decode_plain_png(content) is None


@pytest.mark.parametrize('filters', ['PAETH', 'AVG', 'SUB', 'UP', 'NONE'])
def test_any_file_reads_as_opencv_reads_it(filters: str) -> None:
    content = png(IMAGE, cv2.IMWRITE_PNG_FILTER, getattr(cv2, f'IMWRITE_PNG_FILTER_{filters}'))
    assert np.array_equal(decode_grey(content, 'a.png')[0], IMAGE)


def test_damage_is_never_decoded_to_another_image() -> None:
    content = png(IMAGE)
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        found = decode_plain_png(bytes(damaged))
        assert found is None or np.array_equal(found, IMAGE)
    for length in range(len(content)):
        assert decode_plain_png(content[:length]) is None


def test_more_or_fewer_rows_than_declared_are_refused() -> None:
    for height in (22, 24):
        header = struct.pack('>2I5B', 17, height, 8, 0, 0, 0, 0)
        body = zlib.compress(b''.join(b'\0' + row.tobytes() for row in IMAGE))
        chunks = chunk(b'IHDR', header), chunk(b'IDAT', body), chunk(b'IEND', b'')
        assert decode_plain_png(b'\x89PNG\r\n\x1a\n' + b''.join(chunks)) is None


def test_damaged_file_keeps_its_message() -> None:
    with pytest.raises(ImageFileError, match=r'a\.png: '):
        decode_grey(png(IMAGE)[:60], 'a.png')
