"""Small files that ask for a lot of memory are refused before they get it."""

import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mammo.preprocess import images
from mammo.preprocess.dicom import bombs, reader
from mammo.preprocess.dicom.pixels import stored_values
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.images import _thumb
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.settings import Settings
from tests.support.dicom_files import breast_image, mammogram, save

JPEG_2000_HEADER = bytes.fromhex('ff4f ff51 0029 0000')


def deflated(folder: Path, padding: int = 0) -> Path:
    """A deflated film, with ``padding`` zeros behind it that deflate to nearly nothing."""
    ds = mammogram()
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(ds, folder / 'film.dcm')
    if padding:
        content = path.read_bytes()
        start = 144 + int.from_bytes(content[140:144], 'little')  # length of the meta group, PS3.10 7.1
        whole = zlib.decompress(content[start:], -zlib.MAX_WBITS)
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        tail = packer.compress(whole) + packer.compress(bytes(padding)) + packer.flush()
        path.write_bytes(content[:start] + tail)
    return path


def test_a_deflated_film_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(stored_values(reader.read(deflated(tmp_path))), breast_image())


@pytest.mark.parametrize('bare', [False, True])
def test_a_deflated_film_that_grows_too_large_is_refused_without_growing(tmp_path: Path, bare: bool) -> None:
    path = deflated(tmp_path, padding=bombs.MAX_INFLATED)
    assert path.stat().st_size < 1e6
    if bare:
        path.write_bytes(path.read_bytes()[132:])
    tracemalloc.start()
    with pytest.raises(PreprocessError, match='inflates to more than') as error:
        reader.read(path, header_only=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.value.reason == Reason.TOO_LARGE
    assert peak < 20e6  # bytes


@pytest.mark.parametrize(('syntax', 'size'), [(JPEG2000Lossless, (256, 160)), (RLELossless, None)])
def test_size_of_compressed_films(syntax: str, size: tuple[int, int] | None) -> None:
    ds = mammogram()
    ds.compress(syntax, generate_instance_uid=False)
    assert bombs.codestream_size(get_frame(ds.PixelData, 0, number_of_frames=1)) == size
    np.testing.assert_array_equal(stored_values(ds), breast_image())


@pytest.mark.parametrize(
    'frame',
    [
        'ffd8 ffe0 0004 0000 ffc3 000b 0c 0100 00a0 01 011100',  # JPEG, ITU-T T.81 B.2.2, behind a comment
        'ffd8 ffff c4 0003 00 ffc1 000b 0c 0100 00a0 01 011100',  # behind a fill byte and a table
        'ffd8 fff7 000b 0c 0100 00a0 01 011100',  # JPEG-LS, ITU-T T.87 C.2.2
    ],
)
def test_size_in_frame_headers(frame: str) -> None:
    assert bombs.codestream_size(bytes.fromhex(frame)) == (256, 160)


@pytest.mark.parametrize(
    ('syntax', 'frame'),
    [
        (JPEG2000Lossless, JPEG_2000_HEADER + bytes.fromhex('0000ea60 0000ea60 00000000 00000000')),
        (JPEGLosslessSV1, bytes.fromhex('ffd8 ffc3 000b 0c ea60 ea60 01 011100')),
        (JPEGLSLossless, bytes.fromhex('ffd8 fff7 000b 0c ea60 ea60 01 011100')),
    ],
)
def test_compressed_pixels_larger_than_the_header_says_are_refused(syntax: str, frame: bytes) -> None:
    ds = mammogram()
    ds.PixelData, ds['PixelData'].is_undefined_length = encapsulate([frame + bytes(2000)]), True
    ds.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(PreprocessError, match=r'compressed pixels are \(60000, 60000\)') as error:
        stored_values(ds)
    assert error.value.reason == Reason.DECODE_FAILED


@pytest.mark.parametrize(
    ('shape', 'expected'), [((1, 20_000), (1, 960)), ((20_000, 1), (240, 1)), ((500, 300), (240, 144))]
)
def test_thumbnails_of_strips_stay_small(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert _thumb(np.zeros(shape, np.float32)).shape == expected


@pytest.mark.parametrize(
    ('error', 'reason'),
    [
        (MemoryError(), Reason.TOO_LARGE),
        (cv2.error('OpenCV(5.0) error: (-4:Insufficient memory) Failed to allocate'), Reason.TOO_LARGE),
        (cv2.error('OpenCV(5.0) error: (-215:Assertion failed)'), Reason.INTERNAL),
    ],
)
def test_what_opencv_cannot_do_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: Reason
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(images, 'describe', fail)
    with pytest.raises(PreprocessError) as found:
        images.render(Job('x.png', tmp_path / 'x.png', is_png=True), None, Settings(tmp_path))
    assert found.value.reason == reason
