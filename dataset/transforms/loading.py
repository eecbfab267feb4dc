"""Loading of a mammogram file.

img_path -> img (H, W) uint8
"""

import functools
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmpretrain.registry import TRANSFORMS
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from mammo.engine.log import tell
from mammo.errors import UserError
from mammo.records.storage.png import decode_grey, read_grey, to_uint8


@TRANSFORMS.register_module()
class LoadMammogram(BaseTransform):
    """Load an 8-bit or 16-bit, grey or colour image file as 8-bit grey values.

    Args:
        channels: 1 gives images (H, W); 3 gives (H, W, 3), equal channels, for transforms of colour.
        backend_args: mmengine file backend that ``img_path`` is read through; default: local files.

    Raises:
        mammo.records.storage.png.ImageFileError: the file is missing or damaged.
    """

    def __init__(self, channels: int = 1, backend_args: dict[str, Any] | None = None) -> None:
        if channels not in (1, 3):
            raise UserError(f'LoadMammogram: channels is {channels}, expected 1 or 3')
        self.channels = channels
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read a PNG or JPEG as one grey channel (H, W) of 0 to 255; 16 bits are scaled to 8.

        Raises:
            ImageFileError: the file is missing, empty or damaged.
        """
        if 'img' in results and 'img_path' not in results:  # loaded already, as inferencers of mmpretrain do
            img = results['img']
            img = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY) if img.ndim == 3 else img
            return self._loaded(results, img)
        path = results['img_path']
        if self.backend_args:  # None: it has no such key
            grey, bits = decode_grey(fileio.get(path, self.backend_args) or b'', path)
        else:
            grey, bits = read_grey(path)
        if bits > 8:
            _log_16_bit_once()
        return self._loaded(results, to_uint8(grey, bits=bits))

    def _loaded(self, results: dict[str, Any], img: NDArray[np.uint8]) -> dict[str, Any]:
        """Results with a grey image (H, W) in as many channels as were asked for."""
        if self.channels == 3:
            img = cv2.cvtColor(img, cv2.COLOR_GRAY2BGR)
        return dict(results, img=img, img_shape=img.shape[:2], ori_shape=img.shape[:2])


@functools.cache
def _log_16_bit_once() -> None:
    worker = get_worker_info()
    if worker is None or worker.id == 0:
        tell('16-bit images are scaled to 8 bit by the range they declare, else by the range they hold')
