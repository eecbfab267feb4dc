"""A resumed run follows the schedule of its config, or does not start.

saved schedulers, schedulers of the config -> those of a run of this config at the saved batch
"""

import warnings
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from mmengine.optim import _ParamScheduler
from mmengine.runner import Runner

from mammo.engine.loading.checkpoint import CheckpointError
from mammo.engine.log import warn
from mammo.errors import listed

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
    (``T_max`` follows ``max_epochs`` and the batch size) are refused; one that only ends later, as a StepLR
    in a longer run, goes on: its rates are to the bit those of a run that was as long from its start.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        built = runner.param_schedulers or []
        parts = built.values() if isinstance(built, dict) else [built]
        self.schedulers: list[_ParamScheduler] = [scheduler for part in parts for scheduler in part]

    def resume(self, saved: Any) -> None:
        """Bring the schedulers to where the runner is; ``saved`` are their states, None if there are none.

        Raises:
            CheckpointError: the config describes another schedule.
        """
        parts = saved.values() if isinstance(saved, dict) else [saved or []]
        states = [state for part in parts for state in part]
        self._check_epoch_length()
        pairs: Iterator[tuple[dict[str, Any], dict[str, Any]]] = zip_longest(
            map(_settings, states), map(_own_settings, self.schedulers), fillvalue={}
        )
        differing = [
            f'{key}: {old.get(key)} in the checkpoint, {new.get(key)} in the config'
            for old, new in pairs
            for key in {**old, **new}
            if key != 'end' and old.get(key) != new.get(key)
        ]
        if differing:
            raise CheckpointError(
                f'the schedule of the learning rate has changed ({listed(differing)}), also by max_epochs or '
                f'the batch size. {REMEDY}'
            )
        for scheduler, state in zip(self.schedulers, states, strict=True):
            _load(scheduler, state)
        self._warn_of_early_end()

    def _check_epoch_length(self) -> None:
        runner, length = self.runner, len(self.runner.train_dataloader)
        position = getattr(runner.train_loop, 'position', None)
        saved_length = position['epoch_length'] if position else runner.iter / max(runner.epoch, 1)
        if (runner.epoch == 0 and not position) or saved_length == length:
            return
        change = f'an epoch has {length} batches, in the checkpoint {saved_length:g}'
        if position or not all(scheduler.by_epoch for scheduler in self.schedulers):
            raise CheckpointError(
                f'{change}, and the run was stopped within one or its schedule counts batches. {REMEDY}'
            )
        warn(change)

    def _warn_of_early_end(self) -> None:
        length = len(self.runner.train_dataloader)
        ends = [scheduler.end * (length if scheduler.by_epoch else 1) for scheduler in self.schedulers]
        if ends and max(ends) < self.runner.max_iters:
            warn(
                f'the last schedule ends (end=...) after {max(ends) / length:g} of {self.runner.max_epochs} '
                'epochs: from there on the learning rate stays the same'
            )


def _load(scheduler: _ParamScheduler, state: dict[str, Any]) -> None:
    """Load a state; steps that it left out, since the schedule ended before them, are taken now."""
    end, saved_end = scheduler.end, state['end']
    missed = max(0, state['_global_step'] - saved_end + 1) if end > saved_end else 0
    scheduler.load_state_dict(state | dict(end=end, _global_step=state['_global_step'] - missed))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of steps without an optimizer's step
        for _ in range(missed):
            scheduler.step()


def _own_settings(scheduler: _ParamScheduler) -> dict[str, Any]:
    return _settings(scheduler.state_dict())


def _settings(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key not in PROGRESS}
