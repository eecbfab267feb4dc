"""A resumed run follows the schedule of its config, or does not start.

saved schedulers, schedulers of the config -> those of a run of this config at the saved batch
"""

import logging
import math
import warnings
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import _ParamScheduler
from mmengine.runner import Runner

from mammo.engine.checkpoint import CheckpointError

# what changes while a scheduler works; the rest are its settings
PROGRESS = {
    'last_step',
    '_global_step',
    '_last_value',
    'verbose',
    'best',
    'num_bad_epochs',
    'cooldown_counter',
}
REMEDY = 'Resume with the settings of its start, or start a new run from its weights (load_from)'


class Schedule:
    """The schedulers of a run that is about to resume, as its config builds them.

    NOTE[DIFF]: mmengine puts the saved schedulers in their place, so that with a larger ``max_epochs`` the
    learning rate stays where the old schedule ended. Here schedulers with other settings than the saved ones
    (``end`` and ``T_max`` follow ``max_epochs`` and the batch size) are stepped to the saved batch, and the
    run goes on as one that had this config from the start. It must have had its learning rate in the last
    batch, as with StepLR always and with a cosine only during the warm-up; otherwise it is refused.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        built = runner.param_schedulers or []
        parts = built.values() if isinstance(built, dict) else [built]
        self.schedulers: list[_ParamScheduler] = [scheduler for part in parts for scheduler in part]
        self._start = [self._values(scheduler) for scheduler in self.schedulers]

    def resume(self, saved: Any) -> None:
        """Bring the schedulers to where the runner is; ``saved`` are their states, None if there are none.

        Raises:
            CheckpointError: the config describes another schedule up to here.
        """
        parts = saved.values() if isinstance(saved, dict) else [saved or []]
        states = [state for part in parts for state in part]
        self._check_epoch_length()
        if [_settings(state) for state in states] == [_settings(s.state_dict()) for s in self.schedulers]:
            for scheduler, state in zip(self.schedulers, states, strict=True):
                scheduler.load_state_dict(state)
        else:
            self._follow()
        self._warn_of_early_end()

    def _check_epoch_length(self) -> None:
        runner, length = self.runner, len(self.runner.train_dataloader)
        position = getattr(runner.train_loop, 'position', None)
        self.within = position['batches_done'] if position else runner.iter if runner.epoch == 0 else 0
        saved_length = (
            position['epoch_length'] if position else (runner.iter - self.within) / max(runner.epoch, 1)
        )
        if runner.epoch + bool(position) == 0 or saved_length == length:
            return
        found = f'an epoch has {length} batches, in the checkpoint {saved_length:g}'
        if position or not all(scheduler.by_epoch for scheduler in self.schedulers):
            raise CheckpointError(
                f'{found}, and the run was stopped within one or its schedule counts batches. {REMEDY}'
            )
        print_log(found, 'current', logging.WARNING)

    def _follow(self) -> None:
        """Take the config's schedule if the run has followed it so far."""
        if any(getattr(scheduler, 'need_val_args', False) for scheduler in self.schedulers):
            raise CheckpointError(f'a schedule that depends on validation cannot be changed. {REMEDY}')
        for scheduler, values in zip(self.schedulers, self._start, strict=True):
            for group, value in zip(scheduler.optimizer.param_groups, values, strict=True):
                group[scheduler.param_name] = value
        expected = self._replay()
        for name, value in expected.items():
            history = self.runner.message_hub.log_scalars.get(f'train/{name}')
            used = history.current() if history else math.nan
            if not math.isclose(used, value, rel_tol=1e-6):
                raise CheckpointError(
                    f'the learning rate of the last batch ({name}) was {used:g}, but with the max_epochs, '
                    f'batch size and param_scheduler of this config it is {value:g}. {REMEDY}'
                )
        print_log('resumed with the schedule of the config, which differs from the saved one', 'current')

    def _replay(self) -> dict[str, float]:
        """Step the schedulers to where the runner is; the learning rates of the last batch."""
        whole = self.runner.epoch * len(self.runner.train_dataloader)
        rates: dict[str, list[float]] = {}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of steps without an optimizer's step
            for done in range(1, whole + self.within + 1):
                rates = self.runner.optim_wrapper.get_lr() if done == whole + self.within else rates
                self._step(by_epoch=False)
                if done <= whole and done % len(self.runner.train_dataloader) == 0:
                    self._step(by_epoch=True)
        return {name: values[0] for name, values in rates.items()}

    def _step(self, *, by_epoch: bool) -> None:
        for scheduler in self.schedulers:
            if scheduler.by_epoch == by_epoch:
                scheduler.step()

    def _warn_of_early_end(self) -> None:
        length = len(self.runner.train_dataloader)
        ends = [scheduler.end * (length if scheduler.by_epoch else 1) for scheduler in self.schedulers]
        if ends and max(ends) < self.runner.max_iters:
            print_log(
                f'the last schedule ends (end=...) after {max(ends) / length:g} of {self.runner.max_epochs} '
                'epochs: from there on the learning rate stays the same',
                'current',
                logging.WARNING,
            )

    @staticmethod
    def _values(scheduler: _ParamScheduler) -> list[float]:
        return [group[scheduler.param_name] for group in scheduler.optimizer.param_groups]


def _settings(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key not in PROGRESS}
