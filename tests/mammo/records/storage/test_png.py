"""Image files of every kind to grey, damaged ones refused."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mammo.records.storage.png import MAX_BYTES, ImageFileError, check_image, read_grey, to_uint8

RNG = np.random.default_rng(0)


def save(path: Path, image: Image.Image | np.ndarray, **options: object) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def load_8_bit(path: Path) -> np.ndarray:
    check_image(path)
    image, bits = read_grey(path)
    return to_uint8(image, bits=bits)


def with_sbit(png: bytes, *bits: int) -> bytes:
    """Insert an sBIT chunk after the header chunk (PNG specification, 11.3.2.7)."""
    body = b'sBIT' + bytes(bits)
    chunk = struct.pack('>I', len(bits)) + body + struct.pack('>I', zlib.crc32(body))
    return png[:33] + chunk + png[33:]


def test_8_bit_grey_is_bit_exact(tmp_path: Path) -> None:
    image = RNG.integers(0, 256, (37, 21), dtype=np.uint8)
    assert np.array_equal(load_8_bit(save(tmp_path / 'a.png', image)), image)


def test_dark_8_bit_image_is_not_stretched(tmp_path: Path) -> None:
    image = RNG.integers(10, 20, (8, 8), dtype=np.uint8)
    assert np.array_equal(load_8_bit(save(tmp_path / 'a.png', image)), image)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA'])
def test_grey_in_colour_channels_is_bit_exact(tmp_path: Path, mode: str) -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(load_8_bit(save(tmp_path / 'a.png', Image.fromarray(image).convert(mode))), image)


@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
def test_alpha_is_ignored(tmp_path: Path, mode: str) -> None:
    image = RNG.integers(0, 256, (9, 9), dtype=np.uint8)
    picture = Image.fromarray(image).convert(mode)
    picture.putalpha(Image.fromarray(RNG.integers(0, 256, (9, 9), dtype=np.uint8)))
    assert np.array_equal(load_8_bit(save(tmp_path / 'a.png', picture)), image)


def test_grey_palette_is_looked_up(tmp_path: Path) -> None:
    index = RNG.integers(0, 4, (6, 5), dtype=np.uint8)
    greys = np.array([200, 3, 90, 255], dtype=np.uint8)
    picture = Image.fromarray(index, mode='P')
    picture.putpalette([int(v) for grey in greys for v in (grey,) * 3])
    assert np.array_equal(load_8_bit(save(tmp_path / 'a.png', picture)), greys[index])


def test_a_picture_made_for_print_is_refused(tmp_path: Path) -> None:
    inks = Image.fromarray(RNG.integers(0, 256, (9, 9), dtype=np.uint8)).convert('CMYK')
    with pytest.raises(
        ImageFileError, match=r'a\.jpg: its colours are inks \(CMYK\).*; export it as grey PNG'
    ):
        read_grey(save(tmp_path / 'a.jpg', inks))


def test_1_bit_image_is_black_and_white(tmp_path: Path) -> None:
    image = RNG.integers(0, 2, (11, 13)).astype(bool)
    assert np.array_equal(load_8_bit(save(tmp_path / 'a.png', Image.fromarray(image))), image * 255)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_single_pixel(tmp_path: Path, dtype: type) -> None:
    grey = load_8_bit(save(tmp_path / 'a.png', np.array([[7]], dtype=dtype)))
    assert grey.shape == (1, 1)
    assert grey.dtype == np.uint8


def test_colour_uses_the_usual_weights_in_the_right_order(tmp_path: Path) -> None:
    colour = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)  # red, green, blue
    # ITU-R BT.601 luma
    assert load_8_bit(save(tmp_path / 'a.png', colour))[0].tolist() == [76, 150, 29]


def test_16_bit_is_scaled_by_the_range_it_holds(tmp_path: Path) -> None:
    image = np.array([[100, 1100, 2100]], dtype=np.uint16)
    assert load_8_bit(save(tmp_path / 'a.png', image)).tolist() == [[0, 128, 255]]


def test_16_bit_scaling_is_monotonic_and_uses_the_full_range(tmp_path: Path) -> None:
    values = np.sort(RNG.integers(300, 40_000, 500).astype(np.uint16))
    grey = load_8_bit(save(tmp_path / 'a.png', values.reshape(20, 25))).ravel()
    assert (np.diff(grey.astype(int)) >= 0).all()
    assert (grey[0], grey[-1]) == (0, 255)


def test_16_bit_is_scaled_by_the_range_it_declares(tmp_path: Path) -> None:
    path = save(tmp_path / 'a.png', np.array([[0, 1024, 2048, 4095, 60000]], dtype=np.uint16))
    path.write_bytes(with_sbit(path.read_bytes(), 12))
    image, bits = read_grey(path)
    assert (image.dtype, bits) == (np.uint16, 12)
    assert load_8_bit(path).tolist() == [[0, 64, 128, 255, 255]]


def test_declared_16_bits_say_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / 'a.png', np.array([[100, 2100]], dtype=np.uint16))
    path.write_bytes(with_sbit(path.read_bytes(), 16))
    assert load_8_bit(path).tolist() == [[0, 255]]


def test_declaration_does_not_touch_8_bit_images(tmp_path: Path) -> None:
    path = save(tmp_path / 'a.png', np.array([[5, 63]], dtype=np.uint8))
    path.write_bytes(with_sbit(path.read_bytes(), 6))
    assert load_8_bit(path).tolist() == [[5, 63]]


def test_constant_16_bit_image_is_black(tmp_path: Path) -> None:
    assert (load_8_bit(save(tmp_path / 'a.png', np.full((4, 4), 900, np.uint16))) == 0).all()


def test_16_bit_colour(tmp_path: Path) -> None:
    grey = np.array([[100, 1100, 2100]], dtype=np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    assert load_8_bit(tmp_path / 'a.png').tolist() == [[0, 128, 255]]


def test_jpeg(tmp_path: Path) -> None:
    image = np.full((16, 16), 90, np.uint8)
    assert np.abs(load_8_bit(save(tmp_path / 'a.jpg', image)).astype(int) - 90).max() <= 1


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
@pytest.mark.parametrize('kept_frac', [0.1, 0.6, 0.95])
def test_truncated_file_is_refused_by_check_and_by_reader(
    tmp_path: Path, suffix: str, kept_frac: float
) -> None:
    path = save(tmp_path / f'a.{suffix}', RNG.integers(0, 256, (64, 64), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept_frac * len(data))])
    with pytest.raises(ImageFileError, match=rf'a\.{suffix}: '):
        check_image(path)
    with pytest.raises(ImageFileError, match=rf'a\.{suffix}: '):
        read_grey(path)


@pytest.mark.parametrize('content', [b'', b'\x89PNG\r\n\x1a\n', b'not an image', b'\x00' * 100])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ImageFileError, match=r'a\.png: '):
        check_image(tmp_path / 'a.png')
    with pytest.raises(ImageFileError, match=rf'a\.png: not an image, or damaged \({len(content)} bytes\)'):
        read_grey(tmp_path / 'a.png')


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r'none\.png: No such file'):
        check_image(tmp_path / 'none.png')
    with pytest.raises(ImageFileError, match=r'none\.png: No such file'):
        read_grey(tmp_path / 'none.png')


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match='Is a directory'):
        check_image(tmp_path)
    with pytest.raises(ImageFileError, match='Is a directory'):
        read_grey(tmp_path)


def test_impossibly_large_image_is_refused(tmp_path: Path) -> None:
    """A header that claims 2 million x 2 million pixels, as damage or malice may make."""
    header = b'IHDR' + struct.pack('>IIBBBBB', 2_000_000, 2_000_000, 8, 0, 0, 0, 0)
    png = save(tmp_path / 'a.png', np.zeros((4, 4), np.uint8)).read_bytes()
    (tmp_path / 'a.png').write_bytes(png[:12] + header + struct.pack('>I', zlib.crc32(header)) + png[33:])
    with pytest.raises(ImageFileError, match=r'a\.png: '):
        check_image(tmp_path / 'a.png')
    with pytest.raises(ImageFileError, match=r'a\.png: '):
        read_grey(tmp_path / 'a.png')


@pytest.mark.parametrize(
    ('width', 'height', 'depth'), [(30_000, 30_000, 16), (8_001, 8_000, 8), (2_000_000_000, 1, 1)]
)
def test_claimed_size_is_refused_before_any_pixel_is_decoded(
    tmp_path: Path, width: int, height: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV would take the memory for up to 2^30 pixels on the header's word."""
    header = b'IHDR' + struct.pack('>IIBBBBB', width, height, depth, 0, 0, 0, 0)
    png = save(tmp_path / 'a.png', np.zeros((4, 4), np.uint8)).read_bytes()
    (tmp_path / 'a.png').write_bytes(png[:12] + header + struct.pack('>I', zlib.crc32(header)) + png[33:])
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    monkeypatch.setattr(Image.Image, 'load', lambda *_: pytest.fail('decoded'))
    for read in (check_image, read_grey):
        with pytest.raises(
            ImageFileError, match=r'a\.png: .*(claims \d+ x \d+ pixels|exceeds limit|decompression)'
        ):
            read(tmp_path / 'a.png')


def test_claimed_size_of_a_jpeg_is_refused(tmp_path: Path) -> None:
    data = bytearray(save(tmp_path / 'a.jpg', np.zeros((8, 8), np.uint8)).read_bytes())
    frame = data.index(b'\xff\xc0')  # start of frame: length, precision, height, width (ITU-T T.81, B.2.2)
    data[frame + 5 : frame + 9] = struct.pack('>HH', 9_000, 9_000)
    (tmp_path / 'a.jpg').write_bytes(data)
    with pytest.raises(ImageFileError, match='the header claims 9000 x 9000 pixels'):
        read_grey(tmp_path / 'a.jpg')


@pytest.mark.parametrize('read', [check_image, read_grey])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path, read: Callable) -> None:
    os.mkfifo(tmp_path / 'pipe.png')
    with pytest.raises(ImageFileError, match=r'pipe\.png: no regular file'):
        read(tmp_path / 'pipe.png')
    with pytest.raises(ImageFileError, match='/dev/zero: no regular file'):
        read('/dev/zero')
    with pytest.raises(ImageFileError, match='null'):
        read('a\0.png')
    with (tmp_path / 'sparse.png').open('wb') as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageFileError, match='larger than any mammogram'):
        read(tmp_path / 'sparse.png')


def test_message_of_a_worker_process_comes_without_its_traceback(tmp_path: Path) -> None:
    message = 'Caught ImageFileError in worker.\nTraceback:\npreprocess.png.ImageFileError: a.png: damaged\n'
    assert str(ImageFileError(message)) == 'a.png: damaged'


@settings(max_examples=150, deadline=None)
@given(position=st.floats(0, 0.999), value=st.integers(1, 255), cut=st.floats(0.05, 1))
def test_any_damage_ends_in_an_image_or_in_the_one_error(
    tmp_path_factory: pytest.TempPathFactory, position: float, value: int, cut: float
) -> None:
    path = tmp_path_factory.mktemp('fuzz') / 'a.png'
    save(path, np.random.default_rng(0).integers(0, 65536, (24, 24), dtype=np.uint16))
    data = bytearray(with_sbit(path.read_bytes(), 12))
    data[int(position * len(data))] ^= value
    path.write_bytes(bytes(data[: int(cut * len(data))]))
    for read in (check_image, read_grey):
        try:
            read(path)
        except ImageFileError as error:
            assert str(path) in str(error)  # noqa: PT017


@pytest.mark.real_data
def test_real_16_bit_exam_uses_the_whole_range(real_data: Path) -> None:
    paths = sorted((real_data / 'nyu_gmic_sample').rglob('*.png'))
    images = [(path, *read_grey(path)) for path in paths[:8]]
    deep = [(path, image, bits) for path, image, bits in images if image.dtype == np.uint16]
    assert deep
    for path, image, bits in deep:
        check_image(path)
        grey = to_uint8(image, bits=bits)
        assert grey.max() == 255
        assert np.unique(grey).size > 100


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_picture_is_turned_as_a_viewer_turns_it(orientation: int, suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.kron([[0, 90, 180], [250, 30, 120]], np.ones((16, 16))).astype(np.uint8)
    path = save(tmp_path / f'a{suffix}', stored, quality=100, exif=exif)
    seen = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.abs(read_grey(path)[0].astype(int) - seen).max() <= 1
