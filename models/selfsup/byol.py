"""BYOL: the similarity of predicted and target embedding, in float32.

embeddings (n, C) of two views -> scalar
"""

from typing import Any

import torch
from mmpretrain.models.losses import CosineSimilarityLoss as StockLoss
from torch import Tensor

from models.registry import MODELS
from models.selfsup.processes import mean_of_processes


# Under the stock name: published configs name the stock loss, which under autocast rounds to two or three
# digits.
@MODELS.register_module()
class CosineSimilarityLoss(StockLoss):
    """Negative cosine similarity in float32; the value is the mean over all processes.

    Grill et al. 2020 (arXiv 2006.07733), equation 2, up to a factor and a constant.
    """

    def forward(self, pred: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Embeddings (n, C), (n, C) -> scalar."""
        with torch.autocast(pred.device.type, enabled=False):
            return mean_of_processes(super().forward(pred.float(), target.float(), *args, **kwargs))
