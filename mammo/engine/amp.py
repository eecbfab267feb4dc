"""Mixed precision on a machine without a GPU.

a training step in float32 -> the same step under bfloat16 autocast
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mammo.engine.faults import FiniteOptimWrapper


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(FiniteOptimWrapper):
    """OptimWrapper whose forward pass runs in bfloat16; it needs no loss scaling, as float16 does."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
