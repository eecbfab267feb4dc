"""The fusion's neural network (SPEC 7); the only module of this package that needs torch.

x (n, d) scaled, y (n,) -> weights by name, each (members, ...), and the losses of every epoch
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mammo.records.fusion_set import FusionError

Redraw = Callable[[np.random.Generator], NDArray]


class MLP(nn.Module):
    """Linear(d, 128), ReLU, dropout 0.2, Linear(128, 1), for ``members`` independent networks at once.

    Shape: (B, in_dims), or (M, B, in_dims) with a batch per member -> logits (M, B).
    Member m draws from ``rngs[m]`` only, so it does not depend on how many members there are.

    Example:
        >>> MLP(in_dims=3, members=2)(torch.zeros(4, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(self, *, in_dims: int, hidden_dims: int = 128, dropout: float = 0.2, members: int = 1,
                 seed: int = 0) -> None:  # fmt: skip
        super().__init__()
        self.dropout = dropout
        self.rngs = [torch.Generator().manual_seed(seed + m) for m in range(members)]
        self.weight1 = self._uniform(in_dims, in_dims, hidden_dims)
        self.bias1 = self._uniform(in_dims, 1, hidden_dims)
        self.weight2 = self._uniform(hidden_dims, hidden_dims, 1)
        self.bias2 = self._uniform(hidden_dims, 1, 1)

    def _uniform(self, fan_in: int, *shape: int) -> nn.Parameter:
        """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as in nn.Linear -> (M, *shape)."""
        draws = torch.stack([torch.rand(shape, generator=g) for g in self.rngs])
        return nn.Parameter((draws * 2 - 1) / fan_in**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d) or (M, B, d) -> logits (M, B)."""
        return self._logits(self._hidden(x.expand(len(self.rngs), *x.shape[-2:])))

    def learn(self, x: Tensor, y: Tensor) -> Tensor:
        """Set the gradients of each member's mean loss; (M, B, d), (M, B) -> losses (M,).

        They are those of autograd, which takes three times as long as the products of matrices this small.
        """
        hidden = self._hidden(x)  # (M, B, H)
        logit = self._logits(hidden)
        at_logit = (logit.sigmoid() - y).mul_(1 / y.shape[1]).unsqueeze(-1)  # (M, B, 1)
        kept = hidden.sign().mul_(1 / (1 - self.dropout) if self.training else 1.0)
        at_hidden = (at_logit * self.weight2.mT).mul_(kept)  # (M, B, H)
        self.weight1.grad, self.bias1.grad = torch.bmm(x.mT, at_hidden), at_hidden.sum(1, keepdim=True)
        self.weight2.grad, self.bias2.grad = torch.bmm(hidden.mT, at_logit), at_logit.sum(1, keepdim=True)
        return _bce(logit, y)

    def _hidden(self, x: Tensor) -> Tensor:
        """(M, B, d) -> (M, B, H), some of them dropped in training."""
        hidden = torch.baddbmm(self.bias1, x, self.weight1).relu()
        if not (self.training and self.dropout):
            return hidden
        keep = torch.empty(hidden.shape)
        for row, generator in zip(keep, self.rngs, strict=True):
            row.uniform_(generator=generator)
        return hidden * keep.ge_(self.dropout).div_(1 - self.dropout).to(x.device)

    def _logits(self, hidden: Tensor) -> Tensor:
        return torch.baddbmm(self.bias2, hidden, self.weight2).squeeze(-1)  # (M, B)


@torch.no_grad()
def fit_mlp(
    x: NDArray, y: NDArray, x_val: NDArray, y_val: NDArray, *, seed: int, redraw: Redraw | None = None,
    members: int = 1, hidden_dims: int = 128, dropout: float = 0.2, batch_size: int = 32,
    max_epoch: int = 100, lr: float = 0.01, weight_decay: float = 1e-4, patience: int = 16,
    device: str = 'cpu',
) -> tuple[dict[str, NDArray], list[dict[str, Any]]]:  # fmt: skip
    """AdamW on binary cross-entropy; each member keeps its epoch of lowest validation loss.

    Args:
        redraw: the table of one epoch (n, d), drawn anew for each member; None: always ``x``.
    """
    tables = _tables(x, redraw, [np.random.default_rng([seed + m, 1]) for m in range(members)])
    labels, x_held, y_held = (
        torch.as_tensor(v, dtype=torch.float32, device=device) for v in (y, x_val, y_val)
    )
    net = MLP(in_dims=x.shape[1], hidden_dims=hidden_dims, dropout=dropout, members=members, seed=seed)
    net.to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    best = {name: value.clone() for name, value in net.state_dict().items()}
    best_loss, waited, history = torch.full((members,), torch.inf), torch.zeros(members), []
    for epoch in range(max_epoch):
        train_loss = _train_epoch(net, optimizer, next(tables).to(device), labels, batch_size)
        val_loss = _bce(net.eval()(x_held), y_held).cpu()  # (M,)
        if not val_loss.isfinite().all():
            raise FusionError(f'the validation loss is not finite in epoch {epoch + 1}; lower lr (now {lr})')
        history.append(dict(train_loss=train_loss.tolist(), val_loss=val_loss.tolist()))
        improved = (val_loss < best_loss) & (waited < patience)
        for name, value in net.state_dict().items():
            best[name][improved] = value[improved]
        best_loss, waited = torch.where(improved, val_loss, best_loss), torch.where(improved, 0, waited + 1)
        if (waited >= patience).all():
            break
    return {name: value.cpu().numpy() for name, value in best.items()}, history


def _tables(x: NDArray, redraw: Redraw | None, rngs: Sequence[np.random.Generator]) -> Iterator[Tensor]:
    """The table of each epoch: (n, d) for all members, or (M, n, d)."""
    whole = torch.as_tensor(x, dtype=torch.float32)
    while True:
        yield (
            whole
            if redraw is None
            else torch.as_tensor(np.stack([redraw(rng) for rng in rngs]), dtype=torch.float32)
        )


def _train_epoch(net: MLP, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, batch_size: int) -> Tensor:
    """One pass over x (n, d) or (M, n, d), each member in its own order -> mean loss (M,)."""
    net.train()
    order = torch.stack([torch.randperm(len(y), generator=g) for g in net.rngs]).to(x.device)  # (M, n)
    drawn = x[order] if x.ndim == 2 else x.gather(1, order[..., None].expand_as(x))  # (M, n, d)
    total = torch.zeros(len(order), device=x.device)
    for x_batch, y_batch in zip(drawn.split(batch_size, 1), y[order].split(batch_size, 1), strict=True):
        loss = net.learn(x_batch, y_batch)  # members share no parameter: each learns from its own loss
        optimizer.step()
        total += loss * y_batch.shape[1]
    return total / len(y)


def _bce(logit: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logit, y.expand_as(logit), reduction='none').mean(1)  # (M,)
