"""Barlow Twins: the cross-correlation of two views over the batch of all processes.

embeddings (n, C) of two views -> scalar
"""

import torch
from mmpretrain.models.heads import LatentCrossCorrelationHead as StockHead
from torch import Tensor

from models.registry import MODELS
from models.selfsup.processes import gather_rows, loss_of_all_rows


# Under the stock name: published configs name the stock head, which on several processes standardises each
# share of the batch by itself and yields a gradient that is smaller by their number.
@MODELS.register_module()
class LatentCrossCorrelationHead(StockHead):
    """Head whose loss and gradient are those of one process with the whole batch.

    Zbontar et al. 2021 (arXiv 2103.03230), equations 1 and 2.

    NOTE[DIFF]: means and deviations of the embedding are those of the batch of all processes; the
    published code took those of each process and averaged the resulting correlations.
    """

    def loss(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  (stock name)
        """Embeddings (n, C) of two views -> scalar, in float32 also under autocast."""
        with torch.autocast(input.device.type, enabled=False):
            first, second = (self.bn(gather_rows(z.float())) for z in (input, target))  # (N, C)
            correlation = first.T @ second / len(first)  # (C, C)
            return loss_of_all_rows(self.loss_module(correlation))
