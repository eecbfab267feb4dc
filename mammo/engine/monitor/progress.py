"""How far a training is, for whoever waits: a line per epoch, and on a terminal a bar with the time left.

losses of the steps, metrics of the validation -> log lines; the steps themselves are in the log file
"""

import time
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from tqdm import tqdm

from mammo.terminal import duration

SHOWN = ('loss', 'roc_auc', 'r2_score')  # last words of the metrics that the line has; the log file has all


@HOOKS.register_module()
class ProgressHook(Hook):
    """Says after each epoch and its validation how it went; on a terminal it also draws a bar."""

    priority = 'LOWEST'
    _bar: tqdm | None = None

    def before_train(self, runner: Runner) -> None:
        """Start the clock; a resumed run starts it where it goes on."""
        self._start_s, self._first = time.monotonic(), runner.epoch
        self._metrics: dict[str, Any] = {}
        if is_main_process():
            self._bar = tqdm(
                total=runner.max_iters, initial=runner.iter, unit='step', smoothing=0.05, leave=False,
                disable=None,
            )  # fmt: skip

    def before_train_epoch(self, runner: Runner) -> None:
        """The line of the epoch before."""
        if runner.epoch > self._first:
            self._tell(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.set_description(f'epoch {runner.epoch + 1}/{runner.max_epochs}', refresh=False)
            self._bar.update()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep what validation found for the line of this epoch."""
        self._metrics = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """The line of the last epoch."""
        if runner.epoch > self._first:
            self._tell(runner)
        if self._bar is not None:
            self._bar.close()

    def _tell(self, runner: Runner) -> None:
        history = runner.message_hub.log_scalars.get('train/loss')
        loss = None if history is None else history.mean(len(runner.train_dataloader))
        pace_s = (time.monotonic() - self._start_s) / (runner.epoch - self._first)
        left_s = pace_s * (runner.max_epochs - runner.epoch)
        runner.logger.info(epoch_line(runner.epoch, runner.max_epochs, loss, self._metrics, pace_s, left_s))
        self._metrics = {}


def epoch_line(
    epoch: int, n_epochs: int, loss: float | None, metrics: dict[str, Any], pace_s: float, left_s: float
) -> str:
    """One line for one epoch.

    Args:
        epoch: number of the epoch, from 1.
        n_epochs: of the whole run.
        loss: mean over the training steps of the epoch.
        metrics: of the validation; None is an undefined value.
        pace_s: seconds per epoch, with validation.
        left_s: seconds until the end of the run.

    Example:
        >>> epoch_line(3, 12, 0.912, {'N_roc_auc': None, 'N_pr_auc': 0.3}, 12.3, 110)
        'epoch 3/12: training loss 0.912; validation N_roc_auc undefined; 12 s per epoch, 1 min 50 s left'
    """
    parts = [] if loss is None else [f'training loss {loss:.3f}']
    texts = [f'{name} {_number(value)}' for name, value in metrics.items() if name.endswith(SHOWN)]
    parts += [f'validation {", ".join(texts)}'] if texts else []
    parts += [f'{duration(pace_s)} per epoch']
    if epoch < n_epochs:
        parts[-1] += f', {duration(left_s)} left'
    return f'epoch {epoch}/{n_epochs}: {"; ".join(parts)}'


def _number(value: Any) -> str:
    return 'undefined' if value is None or value != value else f'{value:.3f}'
