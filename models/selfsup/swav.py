"""SwAV: swapped prediction of cluster assignments that all processes compute from the same rows.

embeddings of all views (views * n, C) -> scalar
"""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from mmpretrain.models.losses import SwAVLoss as StockLoss
from torch import Tensor

from models.registry import MODELS
from models.selfsup.processes import gather_rows, mean_of_processes


@torch.no_grad()
def sinkhorn(scores: Tensor, *, epsilon: float, iterations: int) -> Tensor:
    """Soft assignments of rows to prototypes, each prototype with about the same total.

    Caron et al. 2020 (arXiv 2006.09882), equation 3, on the logarithmic scale, where it cannot overflow.

    Shape:
        scores (N, K) -> (N, K); rows sum to 1, without iterations all together to N
    """
    log_q = scores / epsilon
    log_q = log_q - log_q.logsumexp(dim=(0, 1)) + math.log(len(scores))
    for _ in range(iterations):
        log_q = log_q - log_q.logsumexp(dim=0, keepdim=True)  # every prototype the same total
        log_q = log_q - log_q.logsumexp(dim=1, keepdim=True)  # every row the same total
    return log_q.exp()


# Under the stock name: published configs name the stock loss. On several processes its assignments leave out
# the others' rows, and where processes differ on an empty prototype or a full queue one waits for ever.
@MODELS.register_module()
class SwAVLoss(StockLoss):
    """Stock SwAV loss whose assignments and queue are those of one process with the whole batch.

    Every process gathers the embeddings and computes the same assignments, so none can disagree.
    ``queue`` (assigned views, length, C), the latest embeddings of all processes, newest first and zero
    until filled, is set by the hook of that name in the engine; None: no queue.
    """

    queue: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (views * n, C), view by view -> scalar, in float32 also under autocast."""
        with torch.autocast(x.device.type, enabled=False):
            return mean_of_processes(self._swapped_prediction(x.float()))

    def _swapped_prediction(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=1))
        num_views = sum(self.num_crops)
        log_probs = F.log_softmax(self.prototypes(x) / self.temperature, dim=1).chunk(num_views)
        embeddings = x.detach().chunk(num_views)  # of each view (n, C)
        losses = []
        for slot, assigned in enumerate(self.crops_for_assign):
            target = self._assign(embeddings[assigned], slot)
            others = (log_prob for view, log_prob in enumerate(log_probs) if view != assigned)
            losses += [-(target * log_prob).sum(dim=1).mean() for log_prob in others]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _assign(self, embedding: Tensor, slot: int) -> Tensor:
        """Assignments of this process's rows; the rows of all enter the queue. (n, C) -> (n, K)."""
        batch = rows = gather_rows(embedding)  # (N, C)
        if self.queue is not None:
            queue = self.queue[slot]
            rows = torch.cat((batch, queue)) if queue[-1].any() else batch  # used once it is full
            self.queue[slot] = torch.cat((batch, queue))[: len(queue)]
        assignments = sinkhorn(
            self.prototypes(rows), epsilon=self.epsilon, iterations=self.sinkhorn_iterations
        )
        return assignments[: len(batch)].chunk(len(batch) // len(embedding))[get_rank()]
