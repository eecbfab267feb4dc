"""A hook for tests that compare runs: the model without dropout."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import nn


@HOOKS.register_module()
class NoDropoutHook(Hook):
    """Sets every dropout rate to 0 before training."""

    def before_train(self, runner):
        for module in runner.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            elif isinstance(getattr(module, 'dropout', None), float):
                module.dropout = 0.0
