"""A resumed run has the schedule that it started with, or is refused."""

import math
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from mammo.engine.loading.checkpoint import CheckpointError
from tests.support.tiny_run import train

STEP = [dict(type='StepLR', step_size=1, gamma=0.5)]
SHORT, LONG = {'train_cfg.max_epochs': 2}, {'train_cfg.max_epochs': 4}


def rates(checkpoint: dict[str, Any]) -> list[float]:
    return checkpoint['message_hub']['log_scalars']['train/lr']['values'].tolist()


@pytest.mark.parametrize('schedule', [None, [dict(STEP[0], end=9)]])
def test_longer_run_with_a_schedule_that_does_not_depend_on_it_has_the_rates_of_a_fresh_one(
    tmp_path: Path, schedule: list[dict] | None
) -> None:
    train(tmp_path / 'a', param_scheduler=schedule, **SHORT)
    resumed = train(tmp_path / 'a', param_scheduler=schedule, resume=True, **LONG)
    fresh = train(tmp_path / 'b', param_scheduler=schedule, **LONG)
    step = 0.5 if schedule else 1
    assert rates(resumed) == rates(fresh) == [0.01 * step**epoch for epoch in range(4) for _ in range(5)]


def test_longer_run_with_step_schedule_is_refused(tmp_path: Path) -> None:
    """Its end is the last epoch if the config names none."""
    train(tmp_path, param_scheduler=STEP, **SHORT)
    with pytest.raises(CheckpointError, match=r'changed \(end: 2 in the checkpoint, 4 in .*load_from'):
        train(tmp_path, param_scheduler=STEP, resume=True, **LONG)


@pytest.mark.parametrize('iterations', [3, None])
def test_longer_run_with_cosine_is_refused(tmp_path: Path, iterations: int | None) -> None:
    """Also one that was stopped in its warm-up."""
    stop = None if iterations is None else dict(moment='before_train_iter', count=iterations)
    with nullcontext() if stop is None else pytest.raises(SystemExit):
        train(tmp_path, stop=stop, **SHORT)
    with pytest.raises(CheckpointError, match=r'changed \(.*T_max: 5 in the checkpoint, 15 in'):
        train(tmp_path, resume=True, **LONG)


def test_another_schedule_is_refused(tmp_path: Path) -> None:
    train(tmp_path, param_scheduler=STEP, **SHORT)
    for gamma in (0.1, math.nextafter(0.5, 1)):  # without a tolerance
        other = [dict(STEP[0], gamma=gamma)]
        change = rf'\(gamma: 0\.5 in the checkpoint, {gamma} in the config\).*Resume with'
        with pytest.raises(CheckpointError, match=change):
            train(tmp_path, param_scheduler=other, resume=True, **SHORT)
    with pytest.raises(CheckpointError, match=r'gamma: 0\.5 in the checkpoint, None in'):
        train(tmp_path, param_scheduler=None, resume=True, **LONG)


def test_another_learning_rate_is_refused(tmp_path: Path) -> None:
    train(tmp_path, param_scheduler=STEP, **SHORT)
    for rate in (0.1, math.nextafter(0.01, 1)):  # without a tolerance
        options = {'optim_wrapper.optimizer.lr': rate, **SHORT}
        change = re.escape(f'(base_values: [0.01] in the checkpoint, [{rate}] in the config)')
        with pytest.raises(CheckpointError, match=change):
            train(tmp_path, param_scheduler=STEP, resume=True, **options)


def test_another_batch_size_is_refused_where_the_schedule_counts_batches(tmp_path: Path) -> None:
    train(tmp_path, stop=None, **SHORT)
    with pytest.raises(CheckpointError, match='an epoch has 4 batches, in the checkpoint 5'):
        train(tmp_path, resume=True, **{'train_dataloader.batch_size': 5}, **SHORT)


def test_another_batch_size_is_said_where_the_schedule_counts_epochs(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    schedule = [dict(STEP[0], end=9)]
    train(tmp_path, param_scheduler=schedule, **SHORT)
    train(tmp_path, param_scheduler=schedule, resume=True, **{'train_dataloader.batch_size': 2}, **LONG)
    assert 'warning: an epoch has 10 batches, in the checkpoint 5' in ''.join(capfd.readouterr())


def test_another_batch_size_is_refused_within_an_epoch(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train(tmp_path, param_scheduler=STEP, stop=dict(moment='before_train_iter', count=7))
    with pytest.raises(CheckpointError, match='an epoch has 10 batches'):
        train(tmp_path, param_scheduler=STEP, resume=True, **{'train_dataloader.batch_size': 2})


def test_rate_that_stays_after_the_end_of_the_schedule_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    schedule = [dict(type='CosineAnnealingLR', T_max=2, end=2)]
    train(tmp_path, param_scheduler=schedule, **SHORT)
    train(tmp_path, param_scheduler=schedule, resume=True, **LONG)
    assert 'ends (end=...) after 2 of 4 epochs' in ''.join(capfd.readouterr())


@pytest.mark.parametrize('by_epoch', [True, False])
def test_only_a_schedule_that_ends_before_the_run_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture, by_epoch: bool
) -> None:
    for end_epoch, is_said in ((4, False), (2, True)):
        end = end_epoch if by_epoch else 5 * end_epoch
        schedule = [dict(type='CosineAnnealingLR', by_epoch=by_epoch, T_max=end, end=end)]
        train(tmp_path / str(end), param_scheduler=schedule, **SHORT)
        train(tmp_path / str(end), param_scheduler=schedule, resume=True, **LONG)
        assert ('ends (end=...) after' in ''.join(capfd.readouterr())) == is_said


def test_early_stopping_counts_on_and_stays_stopped(tmp_path: Path) -> None:
    hooks = [dict(type='EarlyStoppingHook', monitor='N_loss', min_delta=10.0, patience=2)]  # never improves
    options = dict(param_scheduler=STEP, custom_hooks=hooks, **{'train_cfg.max_epochs': 9})
    whole = train(tmp_path / 'a', **options)
    with pytest.raises(SystemExit):
        train(tmp_path / 'b', stop=dict(moment='before_train_iter', count=12), **options)
    parts = train(tmp_path / 'b', resume=True, **options)
    assert whole['meta']['epoch'] == parts['meta']['epoch'] == 3
    assert whole['early_stopping'] == parts['early_stopping']
    assert train(tmp_path / 'a', resume=True, **options)['meta']['epoch'] == 3
