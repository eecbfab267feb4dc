"""Necks that read the breast alone: maps are zero at all other cells, and cells of zeros are left out.

images (B, C, H, W) on a background of their lowest value -> which cells of a map show breast (B, 1, h, w)

A neck asks for it by its argument ``breast_margin``, see :mod:`models.necks.fitting`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_TISSUE_FRAC = 0.9  # of a cell; less than 1, since augmentation takes dark tissue down to black


def breast_cells(images: Tensor, map_size: tuple[int, int], margin: int) -> Tensor:
    """Cells that hold breast only, as do all that are at most ``margin`` cells away.

    What lies beyond the image counts as breast, so that nothing is lost at the chest wall. The background
    has one value, the lowest of its channel, as :mod:`mammo.preprocess` leaves it; where it has noise in it,
    or a pixel below it, every cell is taken for breast. Of a breast that the margin leaves nothing of, the
    widest margin that does leave something counts, and all cells where there is none.

    Shape:
        images (B, C, H, W) -> bool (B, 1, h, w)

    Raises:
        ValueError: the margin is negative.
    """
    if margin < 0:
        raise ValueError(f'model.neck.breast_margin is {margin}, expected a number of cells, 0 or more')
    tissue = (images > images.amin(dim=(2, 3), keepdim=True)).any(dim=1, keepdim=True)
    outside = (F.adaptive_avg_pool2d(tissue.float(), map_size) < MIN_TISSUE_FRAC).float()
    left_out = _unless_all(outside, torch.zeros_like(outside))
    for _ in range(margin):
        outside = F.max_pool2d(outside, 3, stride=1, padding=1)
        left_out = _unless_all(outside, left_out)
    return left_out == 0


def _unless_all(outside: Tensor, before: Tensor) -> Tensor:
    """Of each image the cells outside, 1, or those before, if all are; both (B, 1, h, w)."""
    return torch.where(outside.amin(dim=(1, 2, 3), keepdim=True) == 1, before, outside)


def shown(cells: Tensor) -> Tensor:
    """Cells or tokens that are not all zero, or all, where none is; (B, N, C) -> bool (B, N)."""
    of_each = (cells != 0).any(dim=2)
    return of_each | ~of_each.any(dim=1, keepdim=True)


def mean_of_shown(cells: Tensor) -> Tensor:
    """The mean over the cells or tokens that are shown; (B, N, C) -> (B, C)."""
    return cells.sum(dim=1) / shown(cells).sum(dim=1, keepdim=True)  # the others are zero


class PoolOfShown(nn.Module):
    """Average pooling that takes each mean over the cells shown; (B, C, H, W) -> (B, C, h, w).

    Zero where none is. Padding counts as not shown.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        self.average = nn.AvgPool2d(*args)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, h, w)."""
        share = self.average((maps != 0).any(dim=1, keepdim=True).to(maps.dtype))
        return self.average(maps) / torch.where(share == 0, 1, share)
