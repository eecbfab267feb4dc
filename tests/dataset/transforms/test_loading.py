"""Loading of mammogram files as the pipelines do it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset.transforms.loading import LoadMammogram
from mammo.errors import UserError
from mammo.records.storage.png import ImageFileError

IMAGE = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)


def load(path: Path, **kwargs: int) -> dict:
    return LoadMammogram(**kwargs)(dict(img_path=str(path), gt_label={}))


def test_image_has_one_channel_of_its_grey_values(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    results = load(tmp_path / 'a.png')
    assert results['img'].dtype == np.uint8
    assert results['img_shape'] == results['ori_shape'] == (7, 5)
    assert results['gt_label'] == {}
    assert np.array_equal(results['img'], IMAGE)


def test_three_equal_channels_on_request(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    results = load(tmp_path / 'a.png', channels=3)
    assert results['img'].shape == (7, 5, 3)
    for channel in range(3):
        assert np.array_equal(results['img'][..., channel], IMAGE)


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(UserError, match=r'LoadMammogram: channels is 4, expected 1 or 3'):
        LoadMammogram(channels=4)


def test_16_bit_file_becomes_8_bit(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE.astype(np.uint16) * 16)
    image = load(tmp_path / 'a.png')['img']
    assert image.dtype == np.uint8
    assert (image.min(), image.max()) == (0, 255)


def test_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r'none\.png: No such file'):
        load(tmp_path / 'none.png')


def test_what_a_file_backend_lacks_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {'a.png': cv2.imencode('.png', IMAGE)[1].tobytes()}
    monkeypatch.setattr('dataset.transforms.loading.fileio.get', lambda path, _: content.get(path))
    load_packed = LoadMammogram(backend_args=dict(backend='lmdb', db_path='none'))
    assert np.array_equal(load_packed(dict(img_path='a.png'))['img'], IMAGE)
    with pytest.raises(ImageFileError, match=r'b\.png: not an image, or damaged \(0 bytes\)'):
        load_packed(dict(img_path='b.png'))
