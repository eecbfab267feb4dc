"""What all task heads do: one column of the neck's output becomes a loss and a prediction.

neck output ((B, num_tasks),) and data samples -> losses, or data samples with `logit` and `pred_score`
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample, MultiTaskDataSample
from torch import Tensor

from models.registry import MODELS


class TaskHead(BaseModule):
    """Reads column ``task_idx`` of the neck's output; has no parameters.

    Args:
        task_idx: column of the task.
        loss: config of the loss, or without a ``type`` options of the default one, that of the task's kind.
        loss_weight: weight of the task in the sum of losses.
        num_classes, in_channels: accepted and unused, published configs set them.

    Shape:
        last of feats (B, num_tasks) -> logits (B,)
    """

    kind: str
    default_loss: dict

    def __init__(
        self,
        num_classes: int | None = None,
        in_channels: int | None = None,
        task_idx: int = 0,
        loss: dict | None = None,
        loss_weight: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.task_idx = task_idx
        self.loss_weight = loss_weight
        loss = loss or {}
        self.loss_module = MODELS.build(loss if 'type' in loss else {**self.default_loss, **loss})

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """What the head reads; (B, C)."""
        return feats[-1]

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Column of the task: last of feats (B, num_tasks) -> logits (B,).

        Raises:
            ValueError: the neck emits too few numbers.
        """
        if not self.task_idx < feats[-1].shape[1]:
            raise ValueError(
                f'{type(self).__name__}: task_idx is {self.task_idx} but the neck emits {feats[-1].shape[1]} '
                'numbers; its out_dims must equal the number of tasks'
            )
        return feats[-1][:, self.task_idx]  # (B,)

    def loss(self, feats: tuple[Tensor, ...], data_samples: list[DataSample], **_: Any) -> dict[str, Tensor]:
        """Mean loss over all labelled samples of all processes, see :func:`joint_losses`."""
        if data_samples and isinstance(data_samples[0], MultiTaskDataSample):
            raise ValueError(f'{type(self).__name__} needs samples of one task: put it into a MultiTaskHead')
        return dict(loss=joint_losses([self], feats, [data_samples])[0])

    def labelled(self, feats: tuple[Tensor, ...], data_samples: list[DataSample]) -> tuple[Tensor, Tensor]:
        """Logits and targets of the n labelled samples -> two (n, 1), float32 also under autocast."""
        logits = self(feats)
        rows = [i for i, sample in enumerate(data_samples) if 'gt_label' in sample]
        # by index: a mask would let a GPU wait
        logits = logits[torch.tensor(rows, dtype=torch.long, device=logits.device)].float()
        labels = [sample.gt_label for sample in data_samples if 'gt_label' in sample]
        targets = torch.cat(labels) if labels else logits.new_zeros(0)
        # mmpretrain's losses take the sample axis first
        return logits[:, None], targets.to(logits)[:, None]

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample | None] | None = None
    ) -> list[DataSample]:
        """Set ``logit`` (raw output, (1,)) and ``pred_score`` (see :meth:`score`, (1,)) on each sample."""
        logits = self(feats).detach().float()
        data_samples = data_samples or [None] * len(logits)
        return [
            self._predicted(s or DataSample(), logit) for s, logit in zip(data_samples, logits, strict=True)
        ]

    def _predicted(self, sample: DataSample, logit: Tensor) -> DataSample:
        sample.set_field(logit[None], 'logit', dtype=Tensor)
        # NOTE[DIFF]: published code stored the logit in pred_score; MMPreTrain means the probability.
        sample.set_field(self.score(logit)[None], 'pred_score', dtype=Tensor)
        # metrics are chosen and ordered by these
        sample.set_metainfo(dict(kind=self.kind, task_idx=self.task_idx))
        return sample

    @staticmethod
    def score(logit: Tensor) -> Tensor:
        """Logit -> what is answered: a prob from 0 to 1, or a value in the unit of the labels."""
        raise NotImplementedError


def joint_losses(
    heads: Sequence[TaskHead], feats: tuple[Tensor, ...], data_samples: Sequence[list[DataSample]]
) -> Tensor:
    """Weighted mean loss of each head over all labelled samples of all processes -> (len(heads),).

    Zero, with a graph, where there are none. A process returns its share such that the average of the
    gradients over processes, which is what DistributedDataParallel makes, is the gradient of that mean.
    The value is the mean itself.

    Args:
        heads: one per task.
        feats: output of the neck.
        data_samples: of each head, its B samples.
    """
    pairs = [head.labelled(feats, samples) for head, samples in zip(heads, data_samples, strict=True)]
    counts = pairs[0][0].new_tensor([len(targets) for _, targets in pairs])
    all_reduce(counts)
    shares = torch.stack(
        [
            head.loss_module(logits, targets, avg_factor=count)
            for head, (logits, targets), count in zip(heads, pairs, counts.clamp(min=1), strict=True)
        ]
    )
    totals = shares.detach().clone()
    all_reduce(totals)
    values = shares * get_world_size()
    weights = shares.new_tensor([head.loss_weight for head in heads])
    return weights * (values - values.detach() + totals)
