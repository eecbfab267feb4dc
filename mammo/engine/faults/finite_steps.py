"""Optimizer wrappers that take a step only if all that it rests on is finite.

losses, gradients -> a step on all processes, or on none of them
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import Tensor, nn


def fetched(flags: Tensor) -> list[list[float]]:
    """Numbers (n, m) out of the device's memory: the one place where a step waits for a GPU."""
    return flags.tolist()


@OPTIM_WRAPPERS.register_module(name='OptimWrapper')
class FiniteOptimWrapper(OptimWrapper):
    """Stock wrapper that leaves out a step whose loss or gradients are NaN or infinite somewhere.

    NOTE[DIFF]: the stock wrapper takes the step, and clipping a gradient of norm NaN makes every weight NaN.
    The backward pass runs in any case, since other processes wait for its gradients; then all
    processes agree. With gradient accumulation the whole accumulated step is left out.

    Attributes:
        problem: what was wrong with the last step, '' if it was taken; None while gradients accumulate.
        at_fault: whether the samples of this process may be the cause.
    """

    problem: str | None = None
    at_fault: bool = False
    _loss_is_finite: Tensor | None = None  # of the losses accumulated so far, on this process

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute gradients, and remember whether the loss is finite without waiting for a GPU."""
        super().backward(loss, **kwargs)
        finite = loss.detach().isfinite().all()
        before = self._loss_is_finite
        self._loss_is_finite = finite if before is None else finite & before
        self.problem = None

    def step(self, **kwargs: Any) -> None:
        """Take the step, unless loss or gradients are not finite; ``problem`` then says what is wrong."""
        self.problem = self._find_problem()
        if not self.problem:
            super().step(**kwargs)

    def _find_problem(self) -> str:
        params = [p for group in self.optimizer.param_groups for p in group['params']]
        grads = [p.grad for p in params if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)  # not finite if any entry is not
        loss_is_finite = norm.new_tensor(True) if self._loss_is_finite is None else self._loss_is_finite
        flags = (~torch.stack([loss_is_finite.to(norm.device).bool(), norm.isfinite()])).float()
        everywhere = flags.clone()
        all_reduce(everywhere, 'max')
        (own_loss, _), (any_loss, any_grads) = fetched(torch.stack([flags, everywhere]))
        self._loss_is_finite = None
        self.at_fault = bool(own_loss or not any_loss)
        if any_loss:
            return 'the loss is not finite'
        return 'gradients of a finite loss are not finite' if any_grads and not self._may_overflow() else ''

    def _may_overflow(self) -> bool:
        """Whether gradients that are not finite may come from loss scaling, which then corrects itself."""
        return False


@OPTIM_WRAPPERS.register_module(name='AmpOptimWrapper')
class FiniteAmpOptimWrapper(FiniteOptimWrapper, AmpOptimWrapper):
    """The same in mixed precision on a GPU."""

    def _may_overflow(self) -> bool:
        return self.loss_scaler.get_scale() > 1  # the scaler leaves out the step and halves its scale


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(FiniteOptimWrapper):
    """The same in mixed precision without a GPU: bfloat16, which needs no loss scaling as float16 does."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Forward passes in bfloat16."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
