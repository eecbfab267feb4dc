"""What lies between backbone and tasks: a neck's widths and grid follow from both.

config of a neck, backbone, number of tasks -> the config with what it left out

A neck tells its needs by attributes of its class; those that say nothing go by the framework's habits:

- ``in_argument``, ``out_argument``: names of the arguments for channels in and numbers out; default
  ``in_channels`` and ``out_channels``, where the constructor takes them.
- ``size_argument``: name of the argument for the (height, width) of the map; default: none.
- ``pool``: the module that a neck begins with, if a pooled map can be kept in the place of the map.
- ``if_pooled``: arguments of a neck whose input has gone through ``pool`` already.
- ``attends``: whether :func:`models.attention_maps.attention_maps` can tell where it looks.
"""

import copy
import inspect
from typing import Any

import torch
from mmpretrain.models.necks import GlobalAveragePooling as StockPooling
from torch import nn

from models.registry import MODELS


@MODELS.register_module()
class GlobalAveragePooling(StockPooling):
    """The stock neck, which tells that it is nothing but a pool: (B, C, H, W) -> (B, C)."""

    gap: nn.Module

    @property
    def pool(self) -> nn.Module:
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
    wanted: dict[str, Any] = {}
    if n_tasks is not None:
        output = getattr(cls, 'out_argument', 'out_channels')
        if output not in arguments:
            raise ValueError(
                f'model.neck: {neck["type"]} emits features, not one number per task; for {n_tasks} tasks '
                'use LinearNeck (global average pooling and a linear layer), TransformerNeck or '
                'DwiseConvResBlockPooling'
            )
        wanted[output] = n_tasks
    width, size = getattr(cls, 'in_argument', 'in_channels'), getattr(cls, 'size_argument', None)
    lacks_size = size is not None and image_size is not None and neck.get(size) is None
    lacks_width = width in arguments and neck.get(width) is None
    if lacks_size or lacks_width:
        shape = last_map_shape(backbone, image_size or (224, 224), channels)
        wanted |= {width: shape[1]} if lacks_width else {}
        wanted |= {str(size): tuple(shape[2:])} if lacks_size else {}
    return wanted | {key: value for key, value in neck.items() if value is not None}


def last_map_shape(backbone: nn.Module, image_size: tuple[int, int], channels: int = 3) -> torch.Size:
    """Shape (1, C, h, w) of the last map that a backbone makes of an image, found without computing it."""
    probe = copy.deepcopy(backbone).to('meta').eval()
    with torch.no_grad():
        shape = probe(torch.zeros(1, channels, *image_size, device='meta'))[-1].shape
    if len(shape) != 4:
        raise ValueError(
            f'model.backbone: {type(backbone).__name__} emits {tuple(shape)}, expected a map (1, C, h, w): '
            'set out_type="featmap" (VisionTransformer), gap_before_final_norm=False (ConvNeXt) or the like'
        )
    return shape
