"""Loading of mammogram files as the pipelines do it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset.transforms import LoadMammogram
from preprocess.png import ImageFileError

IMAGE = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)


def load(path: Path) -> dict:
    return LoadMammogram()(dict(img_path=str(path), gt_label={}))


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    results = load(tmp_path / 'a.png')
    assert results['img'].dtype == np.uint8
    assert results['img_shape'] == results['ori_shape'] == (7, 5)
    assert results['gt_label'] == {}
    for channel in range(3):
        assert np.array_equal(results['img'][..., channel], IMAGE)


def test_16_bit_file_becomes_8_bit(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE.astype(np.uint16) * 16)
    image = load(tmp_path / 'a.png')['img']
    assert image.dtype == np.uint8
    assert (image.min(), image.max()) == (0, 255)


def test_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r'none\.png: No such file'):
        load(tmp_path / 'none.png')
