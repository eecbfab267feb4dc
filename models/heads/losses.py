"""The regression loss, in the form mmpretrain's heads call.

predictions and targets of one shape -> scalar
"""

import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class MSELoss(nn.Module):
    """Mean squared error, weighted.

    Args:
        loss_weight: factor on the loss.

    Shape:
        pred, target of any one shape -> scalar: the sum of squares over ``avg_factor`` (default: the
        number of elements)
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor, *, avg_factor: float | None = None) -> Tensor:
        """Sum of squares over ``avg_factor``, the number of labels on all processes."""
        squares = F.mse_loss(pred, target, reduction='sum')
        return self.loss_weight * squares / (pred.numel() if avg_factor is None else avg_factor)
