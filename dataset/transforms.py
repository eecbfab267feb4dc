"""Loading of a mammogram file.

img_path -> img (H, W, 3) uint8, three equal channels
"""

import functools
from typing import Any

import cv2
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import get_worker_info

from preprocess.png import read_grey, to_uint8


@TRANSFORMS.register_module()
class LoadMammogram(BaseTransform):
    """Load an 8-bit or 16-bit, grey or colour image file as three equal 8-bit channels.

    Raises:
        preprocess.png.ImageFileError: the file is missing or damaged.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        grey, bits = read_grey(results['img_path'])
        if bits > 8:
            _log_16_bit_once()
        img = cv2.cvtColor(to_uint8(grey, bits=bits), cv2.COLOR_GRAY2BGR)
        return dict(results, img=img, img_shape=img.shape[:2], ori_shape=img.shape[:2])


@functools.cache
def _log_16_bit_once() -> None:
    worker = get_worker_info()
    if worker is None or worker.id == 0:
        print_log(
            '16-bit images are scaled to 8 bit by the range they declare, else by the range they hold',
            'current',
        )
