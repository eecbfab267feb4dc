"""MMPreTrain's transforms of grey values on one channel, under their own names in our scope.

dict with img (H, W) uint8 -> the same, as each channel that the stock transform makes of three equal ones

Images of three channels go to the stock transform. Crops, Resize, RandomFlip, Rotate and Sharpness take
one channel as they are; colour transforms need ``LoadMammogram(channels=3)``.
"""

from typing import Any

import cv2
import numpy as np
from mmpretrain.datasets import transforms as stock
from numpy.typing import NDArray

from models.registry import TRANSFORMS

Table = NDArray[np.uint8]  # (256,): the new value of each grey value
UNCHANGED: Table = np.arange(256, dtype=np.uint8)
MAX_COUNT = 2**24  # OpenCV returns counts as float32, exact up to here


@TRANSFORMS.register_module()
class AutoContrast(stock.AutoContrast):
    """Stretch the grey values to 0..255."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """As the stock transform; an image of one channel (H, W) through one table of 256 values."""
        if results['img'].ndim == 3:
            return super().transform(results)
        return results if self.random_disable() else _looked_up(results, auto_contrast_table(results['img']))


@TRANSFORMS.register_module()
class Equalize(stock.Equalize):
    """Flatten the histogram."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """As the stock transform; an image of one channel (H, W) through one table of 256 values."""
        if results['img'].ndim == 3:
            return super().transform(results)
        return results if self.random_disable() else _looked_up(results, equalize_table(results['img']))


@TRANSFORMS.register_module()
class Brightness(stock.Brightness):
    """Multiply by a random factor: the stock transform of all 256 grey values is the table."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """As the stock transform; an image of one channel (H, W) through one table of 256 values."""
        if results['img'].ndim == 3:
            return super().transform(results)
        return _looked_up(results, super().transform(dict(img=UNCHANGED[None]))['img'][0])


def auto_contrast_table(img: NDArray[np.uint8]) -> Table:
    """Table of the linear map that sends the lowest value of an image (H, W) to 0, the highest to 255."""
    low, high, _, _ = cv2.minMaxLoc(img)
    if low == high:
        return UNCHANGED
    scale = 255.0 / (high - low)
    return np.clip(UNCHANGED * scale - low * scale, 0, 255).astype(np.uint8)


def equalize_table(img: NDArray[np.uint8]) -> Table:
    """Table of the cumulative histogram of an image (H, W), in 255 steps of equally many pixels."""
    counts = histogram(img)
    step = (img.size - counts[counts > 0][-1]) // 255
    if step == 0:
        return UNCHANGED
    levels = (np.cumsum(counts) + step // 2) // step
    return np.minimum(np.append(0, levels[:-1]), 255).astype(np.uint8)


def histogram(img: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each grey value. (H, W) -> (256,)"""
    if img.size > MAX_COUNT:
        return np.bincount(img.ravel(), minlength=256)
    return cv2.calcHist([img], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def _looked_up(results: dict[str, Any], table: Table) -> dict[str, Any]:
    return results if np.array_equal(table, UNCHANGED) else dict(results, img=cv2.LUT(results['img'], table))
