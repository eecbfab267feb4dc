"""What lies between backbone and tasks: a neck's widths and grid follow from both.

config of a neck, backbone, number of tasks -> the config with what it left out

A neck tells its needs by attributes of its class; those that say nothing go by the framework's habits:

- ``in_argument``, ``out_argument``: names of the arguments for channels in and numbers out; default
  ``in_channels`` and ``out_channels``, where the constructor takes them.
- ``size_argument``: name of the argument for the (height, width) of the map; default: none.
- ``pool``: the module that a neck begins with, if a pooled map can be kept in the place of the map.
- ``if_pooled``: arguments of a neck whose input has gone through ``pool`` already.
- ``n_views``: of how many views it takes maps, one below the other; default: 1.
- ``breast_margin``: maps are 0 outside the breast and at so many cells of its edge; default: nowhere.
- ``attends``: whether :func:`models.necks.attention_maps.attention_maps` can tell where it looks.
"""

import copy
import inspect
from typing import Any, NamedTuple

import torch
from mmpretrain.models.necks import GlobalAveragePooling as StockPooling
from torch import Tensor, nn

from models.registry import MODELS

PROBE_PX = 1344  # divisible by the usual strides: 8, 14, 16, 28, 32, 64


@MODELS.register_module()
class GlobalAveragePooling(StockPooling):
    """The stock neck, which tells that it is nothing but a pool: (B, C, H, W) -> (B, C)."""

    gap: nn.Module

    @property
    def pool(self) -> nn.Module:
        """The module that averages a map: (B, C, H, W) -> (B, C, 1, 1)."""
        return self.gap


def fitted(
    neck: dict[str, Any],
    backbone: nn.Module,
    *,
    n_tasks: int | None,
    image_size: tuple[int, int] | None,
    channels: int = 3,
) -> dict[str, Any]:
    """The config of a neck with its widths and grid filled in.

    Args:
        n_tasks: numbers to emit; None: not for this neck to know.
        image_size: (height, width) of the network's input in pixels; None: the neck's own default.
        channels: of the network's input.

    Raises:
        ValueError: there are tasks, and the neck cannot emit a number for each.
    """
    cls = MODELS.get(neck['type'])
    arguments = inspect.signature(cls).parameters
    output = getattr(cls, 'out_argument', 'out_channels')
    width, size = getattr(cls, 'in_argument', 'in_channels'), getattr(cls, 'size_argument', None)
    wanted: dict[str, Any] = {}
    if n_tasks is not None:
        if output not in arguments:
            raise ValueError(
                f'model.neck: {neck["type"]} emits features, not one number per task; for {n_tasks} tasks '
                'use LinearNeck (global average pooling and a linear layer), TransformerNeck or '
                'DwiseConvResBlockPooling'
            )
        wanted[output] = n_tasks
    lacks_size = size is not None and image_size is not None and neck.get(size) is None
    lacks_width = width in arguments and neck.get(width) is None
    if lacks_size or lacks_width:
        shape = last_map_shape(backbone, image_size or (224, 224), channels)
        wanted |= {width: shape[1]} if lacks_width else {}
        wanted |= {str(size): tuple(shape[2:])} if lacks_size else {}
    # None says "follow" of widths and size; of all else, as norm_cfg, it is a value
    return wanted | {k: v for k, v in neck.items() if v is not None or k not in (output, width, size)}


class Cells(NamedTuple):
    """Where the cells of a backbone's last map lie on its input, along either axis."""

    cell_px: float  # from one cell to the next
    first_px: float  # index of the pixel under the centre of the first


def cells_of(backbone: nn.Module, channels: int = 3) -> Cells:
    """Stride and place of a backbone's cells.

    Where every strided layer has an odd kernel k and padding (k - 1) / 2, output i is centred on input
    2 i, and so the first cell on the first pixel. All others are taken to divide the input evenly, as
    layers that cut it into patches do.
    """
    cell_px = PROBE_PX / last_map_shape(backbone, (PROBE_PX, PROBE_PX), channels)[2]
    strided = (m for m in backbone.modules() if isinstance(m, nn.Conv2d) and max(m.stride) > 1)
    centred = all(
        kernel % 2 and padding == (kernel - 1) // 2
        for conv in strided
        for kernel, padding in zip(conv.kernel_size, conv.padding, strict=True)
    )
    return Cells(cell_px, 0.0 if centred else (cell_px - 1) / 2)


def last_map_shape(backbone: nn.Module, image_size: tuple[int, int], channels: int = 3) -> torch.Size:
    """Shape (1, C, h, w) of the last map that a backbone makes of an image, found without computing it.

    By a batch of no images where the network can have one; PyTorch's meta device loads its compiler first.
    """
    probe = copy.deepcopy(backbone).cpu()
    probe.eval()  # which returns None in some stock classes
    try:
        shape = _shape_of_last(probe, torch.zeros(0, channels, *image_size))
    except RuntimeError:  # some reshape with -1, which may be any number for no images
        shape = _shape_of_last(probe.to('meta'), torch.zeros(1, channels, *image_size, device='meta'))
    if len(shape) != 4:
        raise ValueError(
            f'model.backbone: {type(backbone).__name__} emits {tuple(shape)}, expected a map (1, C, h, w): '
            'set out_type="featmap" (VisionTransformer), gap_before_final_norm=False (ConvNeXt) or the like'
        )
    return torch.Size((1, *shape[1:]))


@torch.no_grad()
def _shape_of_last(backbone: nn.Module, images: Tensor) -> torch.Size:
    """Of the maps that a backbone makes of images without numbers, none or of no content."""
    return backbone(images)[-1].shape
