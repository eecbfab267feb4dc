"""Metrics of a validation or test run, one sample at a time in, one dict of numbers out.

data samples with logit, pred_score, gt_label per task -> {'N_loss': 0.61, 'N_roc_auc': 0.77, ...}
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS as STOCK_METRICS
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, mean_squared_error, r2_score, roc_auc_score

from mammo.engine.log import tell, warn
from mammo.errors import UserError
from models.registry import METRICS


@dataclass(frozen=True)
class TaskResult:
    """One sample's prediction for one task; label NaN if unknown."""

    logit: float
    prob: float  # for a regression task: the value
    label: float
    kind: str


class TaskMetric(BaseMetric):
    """A metric of one task over labelled samples.

    Every sample leaves a result, labelled or not, so that the padding which a distributed sampler
    appends is found by position and dropped before anything is counted.

    Args:
        task: task whose prediction to read; None if the sample itself is the task's.
    """

    default_prefix = ''

    def __init__(
        self, task: str | None = None, prefix: str | None = None, collect_device: str = 'gpu'
    ) -> None:
        super().__init__(collect_device, prefix)  # 'gpu' gathers in memory, also without a GPU
        self.task = task

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep output, probability and label of a batch, as plain numbers."""
        self.results += [task_result(self._of_task(sample)) for sample in data_samples]

    def _of_task(self, sample: dict) -> dict:
        if 'logit' in sample:
            return sample
        tasks = predicted_tasks(sample) if self.task is None else [self.task]
        if len(tasks) != 1 or tasks[0] not in sample:
            raise UserError(
                f'{type(self).__name__}: task is {self.task!r}, the model predicts {tasks}; name one'
            )
        return sample[tasks[0]]

    def compute_metrics(self, results: list[TaskResult]) -> dict[str, float | None]:
        """Values over the labelled samples of all processes; none where an output is not finite."""
        labelled = [r for r in results if not np.isnan(r.label)]
        logits, probs, labels = (
            np.array([getattr(r, key) for r in labelled]) for key in ('logit', 'prob', 'label')
        )
        broken = int((~np.isfinite(logits)).sum())
        if broken:
            message = f'{broken} of {len(logits)} outputs are not finite: the training diverged'
            tell(message, logging.ERROR)
            logits = probs = labels = np.array([])  # nothing is defined
        return self.compute(logits, probs, labels)

    def compute(self, logits: NDArray, probs: NDArray, labels: NDArray) -> dict[str, float | None]:
        """Arrays (n,) of labelled samples -> metrics; None for what is not defined."""
        raise NotImplementedError


@STOCK_METRICS.register_module()
class BinaryCrossEntropy(TaskMetric):
    """Mean cross-entropy in nats, from logits: key ``loss``; None without labels."""

    def compute(self, logits: NDArray, probs: NDArray, labels: NDArray) -> dict[str, float | None]:
        """-(y log p + (1 - y) log(1 - p)), mean over (n,) logits and labels."""
        loss = np.logaddexp(0, logits) - labels * logits
        return dict(loss=float(loss.mean()) if len(labels) else None)


@STOCK_METRICS.register_module()
class AUC(TaskMetric):
    """Areas under the ROC curve and the precision-recall curve (average precision).

    Keys ``roc_auc`` and ``pr_auc``; None with fewer than two classes.
    """

    def compute(self, logits: NDArray, probs: NDArray, labels: NDArray) -> dict[str, float | None]:
        """ROC AUC, and average precision (not trapezes) under ``pr_auc``; None unless both classes are
        there."""
        if len(np.unique(labels)) < 2:
            return dict(roc_auc=None, pr_auc=None)
        # the logit ranks as the probability does, without ties where the sigmoid saturates
        return dict(
            roc_auc=float(roc_auc_score(labels, logits)),
            pr_auc=float(average_precision_score(labels, logits)),
        )


@STOCK_METRICS.register_module(name='MSELoss')
class MSELoss(TaskMetric):
    """Mean squared error: key ``loss``; None without labels."""

    def compute(self, logits: NDArray, probs: NDArray, labels: NDArray) -> dict[str, float | None]:
        """Mean of (prediction - label)^2, in the square of the label's unit."""
        return dict(loss=float(mean_squared_error(labels, probs)) if len(labels) else None)


@STOCK_METRICS.register_module()
class R2(TaskMetric):
    """Coefficient of determination: key ``r2_score``; None with fewer than two different labels."""

    def compute(self, logits: NDArray, probs: NDArray, labels: NDArray) -> dict[str, float | None]:
        """1 - residual over total sum of squares; below 0 the mean of these labels would be better."""
        return dict(r2_score=float(r2_score(labels, probs)) if len(np.unique(labels)) > 1 else None)


METRICS_BY_KIND: dict[str, tuple[type[TaskMetric], ...]] = dict(
    binary=(BinaryCrossEntropy, AUC), regression=(MSELoss, R2)
)


# Under the stock name: published configs name the stock metric, which on several processes counts the
# sampler's padding twice, and where one process has no label of a task reports 0 or waits forever.
@METRICS.register_module()
class MultiTasksMetric(BaseMetric):
    """Metrics of all tasks, under ``{task}_{metric}``.

    Args:
        task_metrics: metric configs by task; default: those of each task's kind, which the heads
            write on the predictions.
    """

    default_prefix = ''

    def __init__(
        self, task_metrics: dict[str, list[dict]] | None = None, collect_device: str = 'gpu'
    ) -> None:
        super().__init__(collect_device)
        self.task_metrics = {
            task: [METRICS.build(metric) for metric in metrics]
            for task, metrics in (task_metrics or {}).items()
        }

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep output, probability and label of every task of a batch."""
        for sample in data_samples:
            self.results.append(
                {task: task_result(sample[task]) for task in self.task_metrics or predicted_tasks(sample)}
            )

    def compute_metrics(self, results: list[dict[str, TaskResult]]) -> dict[str, float | None]:
        """Values of all tasks by ``{task}_{metric}``; what is not defined is None and named in the log."""
        metrics: dict[str, float | None] = {}
        for task, first in results[0].items() if results else ():
            of_task = [result[task] for result in results]
            for metric in self.task_metrics.get(task) or [kind() for kind in METRICS_BY_KIND[first.kind]]:
                metrics |= {f'{task}_{key}': value for key, value in metric.compute_metrics(of_task).items()}
        undefined = [key for key, value in metrics.items() if value is None]
        if undefined:
            warn(
                f'not defined on this set and reported as null: {", ".join(undefined)} '
                '(no labels, fewer than two different ones, or outputs that are not finite)'
            )
        return metrics


def predicted_tasks(sample: dict) -> list[str]:
    """Names of the tasks that a data sample has predictions of, in the order of their columns.

    (The fields of a data sample are a set, whose order differs between processes.)
    """
    tasks = [key for key, value in sample.items() if isinstance(value, dict) and 'logit' in value]
    return sorted(tasks, key=lambda task: (sample[task]['task_idx'], task))


def task_result(sample: dict) -> TaskResult:
    """A task's data sample -> plain numbers."""
    label = sample['gt_label'].item() if 'gt_label' in sample else float('nan')
    return TaskResult(sample['logit'].item(), sample['pred_score'].item(), label, sample['kind'])
