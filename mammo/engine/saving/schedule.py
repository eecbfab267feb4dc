"""A resumed run has the schedule that it started with, or does not start.

saved schedulers, schedulers of the config -> those of the config at the saved batch
"""

from collections.abc import Iterator
from itertools import chain, zip_longest
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


def resume_schedule(runner: Runner, saved: Any) -> None:
    """Bring the schedulers of a run to where the runner is.

    NOTE[DIFF]: mmengine puts the saved schedulers in their place, so that with a larger ``max_epochs``, which
    is the ``end`` or ``T_max`` of most, the learning rate stays where the old schedule ended. Here a run goes
    on with more epochs only if its schedule does not depend on them: without a scheduler, or with ends that
    the config names.

    Args:
        saved: states of the schedulers, by optimizer if there are several; None if there are none.

    Raises:
        CheckpointError: the config describes another schedule.
    """
    schedulers, states = _flat(runner.param_schedulers), _flat(saved)
    _check_epoch_length(runner, counts_epochs=all(scheduler.by_epoch for scheduler in schedulers))
    if changes := list(_changes(states, [scheduler.state_dict() for scheduler in schedulers])):
        raise CheckpointError(
            f'the schedule of the learning rate has changed ({listed(changes)}), also by max_epochs or '
            f'the batch size. {REMEDY}'
        )
    for scheduler, state in zip(schedulers, states, strict=True):
        scheduler.load_state_dict(state)
    _warn_of_early_end(runner, schedulers)


def _changes(old_states: list[dict], new_states: list[dict]) -> Iterator[str]:
    pairs: Iterator[tuple[dict, dict]] = zip_longest(old_states, new_states, fillvalue={})
    for old, new in pairs:
        for key in {**old, **new}:
            if key not in PROGRESS and old.get(key) != new.get(key):
                yield f'{key}: {old.get(key)} in the checkpoint, {new.get(key)} in the config'


def _warn_of_early_end(runner: Runner, schedulers: list[_ParamScheduler]) -> None:
    length = len(runner.train_dataloader)
    ends = [scheduler.end * (length if scheduler.by_epoch else 1) for scheduler in schedulers]
    if ends and max(ends) < runner.max_iters:
        warn(
            f'the last schedule ends (end=...) after {max(ends) / length:g} of {runner.max_epochs} '
            'epochs: from there on the learning rate stays the same'
        )


def _flat(parts: dict[str, list] | list | None) -> list[Any]:
    """Of all optimizers."""
    return [*chain(*parts.values())] if isinstance(parts, dict) else parts or []


def _check_epoch_length(runner: Runner, *, counts_epochs: bool) -> None:
    length, position = len(runner.train_dataloader), getattr(runner.train_loop, 'position', None)
    saved_length = position['epoch_length'] if position else runner.iter / max(runner.epoch, 1)
    if (runner.epoch == 0 and not position) or saved_length == length:
        return
    change = f'an epoch has {length} batches, in the checkpoint {saved_length:g}'
    if position or not counts_epochs:
        raise CheckpointError(
            f'{change}, and the run was stopped within one or its schedule counts batches. {REMEDY}'
        )
    warn(change)
