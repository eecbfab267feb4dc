"""SwAV's queue and frozen prototypes, on one process and several, in fresh and resumed runs.

runner with a SwAV model -> `queue` of its loss; `swav_queue` in checkpoints
"""

import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.engine.hooks import SwAVHook as StockHook
from mmpretrain.utils import get_ori_model
from torch import Tensor

from mammo.engine.log import tell
from mammo.errors import DataError
from models.registry import HOOKS


# Under the stock name: published configs name the stock hook, which reads whatever queue file lies in the
# work dir.
@HOOKS.register_module()
class SwAVHook(StockHook):
    """Stock hook whose queue holds the embeddings of all processes and travels in the checkpoint.

    Args:
        batch_size: accepted and unused, published configs set it: the dataloader knows it.
        queue_length: rows per assigned view, of all processes; rounded down to whole batches. 0: none.
        **kwargs: those of :class:`mmpretrain.engine.hooks.SwAVHook`: ``epoch_queue_starts``,
            ``crops_for_assign``, ``frozen_layers_cfg`` (name of layers and their frozen iterations), ...

    Raises:
        DataError: the queue is shorter than one batch.
    """

    queue: Tensor | None
    queue_length: int
    before_run = Hook.before_run  # the stock methods read and write a file per process
    after_train_epoch = Hook.after_train_epoch

    def __init__(self, batch_size: int | None = None, **kwargs: Any) -> None:
        super().__init__(batch_size=batch_size or 0, **kwargs)

    def before_train(self, runner: Runner) -> None:
        """Round the queue down to whole batches, and say how long it is."""
        self.queue_length = whole_batches(
            self.queue_length, runner.train_dataloader.batch_size * runner.world_size
        )
        num_prototypes = _loss_of(runner).prototypes.weight.shape[0]
        tell(
            f'SwAV: a loss of ln({num_prototypes}) = {math.log(num_prototypes):.3f} means assignments spread '
            'evenly over the prototypes: it starts there and may stay near it while the features improve. '
            'Judge by spread and rank of the embedding'
        )
        wrong_length = self.queue is not None and self.queue.shape[1] != self.queue_length
        if runner.iter == 0 or wrong_length:  # loaded into a fresh run, or resumed with another batch
            self.queue = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the queue in its epoch, and give it to the loss, on the device of its weights."""
        loss = _loss_of(runner)
        weight = loss.prototypes.weight  # (K, C)
        if self.queue is None and self.queue_length and runner.epoch >= self.epoch_queue_starts:
            self.queue = weight.new_zeros(len(self.crops_for_assign), self.queue_length, weight.shape[1])
            tell(f'SwAV: the queue of {self.queue_length} rows starts to fill')
        loss.queue = self.queue = None if self.queue is None else self.queue.to(weight.device)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the queue to the checkpoint."""
        checkpoint['swav_queue'] = self.queue

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the queue of a run that goes on."""
        self.queue = checkpoint.get('swav_queue')


def whole_batches(queue_length: int, batch_size: int) -> int:
    """The queue length, rounded down to whole batches of all processes.

    Raises:
        DataError: the queue is shorter than one batch.
    """
    if 0 < queue_length < batch_size:
        raise DataError(
            f'SwAVHook: queue_length is {queue_length}, shorter than one batch of {batch_size} images (all '
            f'processes together): set it to at least {batch_size} or to 0 for no queue, or lower '
            'train_dataloader.batch_size'
        )
    rounded = queue_length - queue_length % batch_size
    if rounded != queue_length:
        tell(f'SwAV: queue of {queue_length} rows is shortened to {rounded}, whole batches of {batch_size}')
    return rounded


def _loss_of(runner: Runner) -> Any:
    return get_ori_model(runner.model).head.loss_module
