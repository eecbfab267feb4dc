"""Augmentations that hardly change grey values, which is where tissue differs.

dict with img uint8 -> the same, a little darker, brighter or noisier
"""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from mammo.errors import UserError


@TRANSFORMS.register_module()
class RandomGamma(BaseTransform):
    """Grey values v, of 0 to 1, become v to the power of gamma; black and white stay.

    Args:
        gamma_range: gamma is drawn evenly between its logarithms.
    """

    def __init__(self, gamma_range: tuple[float, float] = (0.9, 1.1)) -> None:
        low, high = gamma_range
        if not 0 < low <= high:
            raise UserError(f'RandomGamma: gamma_range is {gamma_range}, expected 0 < low <= high')
        self.gamma_range = gamma_range

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Raise grey values, scaled to 0..1, to a power that is drawn log-uniformly: uint8 -> uint8."""
        gamma = np.exp(np.random.uniform(*np.log(self.gamma_range)))
        table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
        return dict(results, img=cv2.LUT(results['img'], table))


@TRANSFORMS.register_module()
class GreyNoise(BaseTransform):
    """Gaussian noise, the same in all channels.

    Args:
        std_range: of 255 grey values; the deviation is drawn evenly from it.
    """

    def __init__(self, std_range: tuple[float, float] = (0.0, 5.0)) -> None:
        low, high = std_range
        if not 0 <= low <= high:
            raise UserError(f'GreyNoise: std_range is {std_range}, expected 0 <= low <= high')
        self.std_range = std_range

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add normal noise, the same in all channels, and clip to 0..255: uint8 -> uint8."""
        img = results['img']
        noise = np.random.normal(0, np.random.uniform(*self.std_range), img.shape[:2])
        noisy = img + (noise if img.ndim == 2 else noise[..., None])
        return dict(results, img=np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
