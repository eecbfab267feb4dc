"""The kinds of task heads: yes or no, and a quantity.

neck output ((B, num_tasks),), task_idx -> logit, prob or value, loss of one task
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from models.heads.task_heads import TaskHead


@MODELS.register_module(name=['BinaryTaskHead', 'LymphNodeClsHead', 'LVIClsHead', 'MultifocalityClsHead'])
class BinaryTaskHead(TaskHead):
    """A yes/no task; ``pred_score`` is the probability of yes."""

    kind = 'binary'
    default_loss = dict(type='CrossEntropyLoss', use_sigmoid=True)

    @staticmethod
    def score(logit: Tensor) -> Tensor:
        """Probability of yes, sigmoid of the logit."""
        return logit.sigmoid()


@MODELS.register_module(name=['RegressionTaskHead', 'NposRegHead', 'TsizeRegHead'])
class RegressionTaskHead(TaskHead):
    """A quantity; ``logit`` and ``pred_score`` are the value itself.

    Args:
        standardise: the network learns (label - mean) / deviation of the training part, which
            :meth:`fit_scale` takes from its labels and checkpoints keep; outputs are scaled back.
    """

    kind = 'regression'
    default_loss = dict(type='MSELoss')

    def __init__(self, *args: Any, standardise: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.standardise = standardise
        if standardise:
            self.register_buffer('target_mean', torch.zeros(()))
            self.register_buffer('target_std', torch.ones(()))

    def fit_scale(self, labels: Sequence[float]) -> None:
        """Take mean and deviation from the labels of the training part; without deviation it is 1."""
        values = torch.tensor(labels, dtype=torch.float64)
        if self.standardise and len(values):
            self.target_mean.fill_(values.mean())
            self.target_std.fill_(values.std(correction=0) or 1.0)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Values in the unit of the labels: (B, num_tasks) -> (B,)."""
        z = super().forward(feats)
        return z.float() * self.target_std + self.target_mean if self.standardise else z

    def labelled(self, feats: tuple[Tensor, ...], data_samples: list[DataSample]) -> tuple[Tensor, Tensor]:
        """As of any task, both in deviations from the mean where targets are standardised."""
        pair = super().labelled(feats, data_samples)
        if not self.standardise:
            return pair
        values, targets = ((part - self.target_mean) / self.target_std for part in pair)
        return values, targets

    @staticmethod
    def score(logit: Tensor) -> Tensor:
        """The value, which is the logit."""
        return logit


@MODELS.register_module()
class SingleLinearClsHead(BinaryTaskHead):
    """A yes/no task with a linear layer of its own on pooled features.

    Args:
        in_channels: width of the pooled features.

    Shape:
        last of feats (B, in_channels) -> logits (B,)
    """

    def __init__(
        self,
        num_classes: int = 1,
        in_channels: int = 1024,
        task_idx: int = 0,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        normal = dict(type='Normal', layer='Linear', std=0.01)  # bias 0, as published
        super().__init__(task_idx=0, init_cfg=init_cfg or normal, **kwargs)
        if num_classes not in (1, 2):
            raise ValueError(
                f'SingleLinearClsHead is for one yes/no task: num_classes is {num_classes}, expected 1'
            )
        self.fc = nn.Linear(in_channels, 1)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Last of feats (B, in_channels) -> logits (B,)."""
        return super().forward((self.fc(feats[-1]),))
