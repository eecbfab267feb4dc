"""Early stopping that a resumed run takes up where it was.

validation metrics -> whether to stop; its count and best score live in the checkpoint
"""

from typing import Any

from mmengine.hooks import EarlyStoppingHook as StockEarlyStoppingHook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mammo.engine.saving.plain_state import to_plain


@HOOKS.register_module()
class EarlyStoppingHook(StockEarlyStoppingHook):
    """EarlyStoppingHook with a memory, which goes on where the metric is undefined.

    NOTE[DIFF]: mmengine's starts to count anew in a resumed run, and fails at an undefined metric.
    """

    priority = 'LOW'  # before the checkpoint hook, which saves the count

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Count as mmengine does, but leave out a validation whose metric is undefined."""
        if metrics.get(self.monitor, 0) is not None:  # else no reason to stop, nor to wait less
            super().after_val_epoch(runner, metrics)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add count and best score to the checkpoint."""
        state = dict(wait_count=self.wait_count, best_score=self.best_score)
        state['stop_training'] = runner.train_loop.stop_training
        checkpoint.setdefault('early_stopping', {})[self.monitor] = to_plain(state)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take count and best score of a run that goes on."""
        state: dict[str, Any] | None = checkpoint.get('early_stopping', {}).get(self.monitor)
        if runner._resume and state:
            self.wait_count, self.best_score = state['wait_count'], state['best_score']
            runner.train_loop.stop_training = state['stop_training']
