"""A run that is told to stop saves where it is, and a later one goes on from there to the same result.

SIGTERM, SIGUSR1, Ctrl-C -> all processes stop after one batch; position in an epoch -> the rest of it
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.optim import OptimWrapperDict
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner

from mammo.engine.loading.checkpoint import CheckpointError
from mammo.engine.log import warn
from mammo.engine.seed import random_state, restore_random_state

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # of those who manage jobs
AT_WORK = (*SIGNALS, signal.SIGINT)


@contextmanager
def handling_signals(handler: Callable | None = None) -> Iterator[None]:
    """Handle what tells a run to stop; afterwards, in whatever way the block ends, as before."""
    if threading.current_thread() is not threading.main_thread():  # Python allows it nowhere else
        yield
        return
    previous = {number: signal.getsignal(number) for number in AT_WORK}
    try:
        for number in SIGNALS if handler else ():
            signal.signal(number, handler)
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


class StopSignal:
    """Remembers that the process was told to stop, until a moment at which it can."""

    def __init__(self) -> None:
        self.received = ''
        self._previous: dict[int, Any] = {}

    def watch(self) -> None:
        """Listen for SIGTERM, SIGUSR1 and Ctrl-C from now on; only in the main thread."""
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            self._previous = {number: signal.signal(number, self._receive) for number in AT_WORK}

    def release(self) -> None:
        """Give the signals back to those who had them."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def agreed(self) -> bool:
        """Whether any of the processes has been told to stop; all must ask."""
        flag = torch.tensor(float(bool(self.received)))
        all_reduce(flag, 'max')
        return bool(flag)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and not self.received:
            os.write(2, b'Ctrl-C: the batch is finished and the state saved; once more ends at once\n')
            if get_world_size() == 1:  # torchrun passes on to its processes what they have received already
                signal.signal(number, signal.default_int_handler)
        self.received = signal.Signals(number).name


def position(batches_done: int, epoch_length: int) -> dict[str, Any]:
    """Where in an epoch all processes are; all must ask."""
    random = all_gather_object(random_state())
    return dict(batches_done=batches_done, epoch_length=epoch_length, random=random)


def wrappers_of(optim_wrapper: Any) -> list[Any]:
    """A run's optimizer wrappers, of which some algorithms have several."""
    return [*optim_wrapper.values()] if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]


def gradients_are_pending(optim_wrapper: Any) -> bool:
    """Whether gradients of several batches are being summed; checkpoints do not hold them."""
    groups = (group for wrapper in wrappers_of(optim_wrapper) for group in wrapper.param_groups)
    return any(parameter.grad is not None for group in groups for parameter in group['params'])


def warn_of_lost_gradients(runner: Runner) -> None:
    """Say that checkpoints at the end of an epoch leave out gradients which are not yet applied."""
    length = len(runner.train_dataloader)
    counts = max(getattr(each, '_accumulative_counts', 1) for each in wrappers_of(runner.optim_wrapper))
    if length % counts:
        warn(
            f'an epoch has {length} batches, no multiple of accumulative_counts={counts}: gradients summed '
            'over the end of an epoch are not saved, and a run resumed there ends slightly different. '
            'For equal results change optim_wrapper.accumulative_counts or train_dataloader.batch_size'
        )


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """EpochBasedTrainLoop that can go on in the middle of an epoch.

    The batches that were done are loaded once more, so that the workers' random numbers go on where
    they were, and left out.
    """

    position: dict[str, Any] | None = None

    def go_on_from(self, position: dict[str, Any] | None) -> None:
        """Take up a checkpoint's position.

        Raises:
            CheckpointError: it was saved by another number of processes.
        """
        if position and len(position['random']) != get_world_size():
            raise CheckpointError(
                f'stopped within an epoch on {len(position["random"])} processes, the run is to go on '
                f'with {get_world_size()}: use as many, or go on from an epoch_*.pth'
            )
        self.position = position

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """One batch; those done before the stop are passed over, the last restores random numbers."""
        if self.position is None:
            super().run_iter(idx, data_batch)
        elif idx + 1 == self.position['batches_done']:
            restore_random_state(self.position['random'][get_rank()])
            self.position = None
