"""A run that was stopped or killed and goes on ends as the one that was not."""

import os
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from mammo.engine import run
from tests.support.tiny_run import PowerCut, train

VOLATILE = ('time', 'cfg', 'experiment_name', 'last_ckpt', 'best_ckpt', 'iter', 'mmengine_version')


def differences(a: Any, b: Any, place: str = '') -> list[str]:
    """Places at which two checkpoints differ, to the bit; times and paths left out."""
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f'{place}: keys {a.keys() ^ b.keys()}']
        keys = [key for key in a if key not in VOLATILE and 'time' not in str(key)]
        return [found for key in keys for found in differences(a[key], b[key], f'{place}.{key}')]
    if isinstance(a, list | tuple):
        pairs = zip(a, b, strict=True)
        return [found for i, pair in enumerate(pairs) for found in differences(*pair, f'{place}[{i}]')]
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [place]
    return [] if a == b else [f'{place}: {a} {b}']


STOPS = [
    dict(moment='before_train_iter', count=0),
    dict(moment='before_train_iter', count=7, signal_name='SIGUSR1'),  # within the second epoch
    dict(moment='before_train_iter', count=8, signal_name='SIGINT'),  # Ctrl-C
    dict(moment='before_train_iter', count=9),  # its last batch
    dict(moment='before_val_iter', count=2),  # within the second validation
    dict(moment='before_train_iter', count=14),  # the last batch of all
]
POWER_CUTS = [
    dict(moment='before_train_iter', count=7),
    dict(moment='before_val_iter', count=2),
    dict(moment='after_val_epoch', count=1),
    dict(moment='after_train', count=0),
]


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Any]:
    """The last checkpoint of a run without a stop."""
    return train(tmp_path / 'whole')


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob('*') if '.pth' in path.name}


def test_run_told_to_stop_goes_on_to_the_same_result(tmp_path: Path, whole: dict) -> None:
    for i, moment in enumerate(STOPS):
        folder = tmp_path / str(i)
        with pytest.raises(SystemExit) as stopped:
            train(folder, stop=moment)
        assert stopped.value.code == 75
        (saved,) = folder.glob('*_interrupted.pth')
        assert (folder / 'last_checkpoint').read_text() == str(saved)
        assert differences(whole, train(folder, resume=True)) == [], moment
        assert names(folder) == names(tmp_path / 'whole')


def test_run_that_sums_gradients_stops_once_they_are_applied(tmp_path: Path) -> None:
    options = {'optim_wrapper.accumulative_counts': 2}
    whole = train(tmp_path / 'whole', **options)
    with pytest.raises(SystemExit):
        train(tmp_path / 'parts', stop=dict(moment='before_train_iter', count=6), **options)
    (saved,) = (tmp_path / 'parts').glob('*_interrupted.pth')
    assert torch.load(saved, weights_only=True)['position']['batches_done'] == 3  # the eighth of all
    assert differences(whole, train(tmp_path / 'parts', resume=True, **options)) == []


def test_run_without_power_goes_on_to_the_same_result(tmp_path: Path, whole: dict) -> None:
    for i, moment in enumerate(POWER_CUTS):
        folder = tmp_path / str(i)
        with pytest.raises(PowerCut):
            train(folder, stop=dict(moment, signal_name=None))
        assert differences(whole, train(folder, resume=True)) == [], moment
        assert names(folder) == names(tmp_path / 'whole')


def test_run_with_workers_goes_on_to_the_same_result(tmp_path: Path) -> None:
    options = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
    whole = train(tmp_path / 'whole', **options)
    with pytest.raises(SystemExit):
        train(tmp_path / 'parts', stop=dict(moment='before_train_iter', count=7), **options)
    with pytest.raises(PowerCut):
        train(
            tmp_path / 'parts', stop=dict(moment='before_train_iter', count=5, signal_name=None),
            resume=True, **options,
        )  # fmt: skip
    assert differences(whole, train(tmp_path / 'parts', resume=True, **options)) == []


@pytest.mark.parametrize('seed', [7, None])
def test_run_resumed_with_another_seed_keeps_that_of_its_start(
    tmp_path: Path, whole: dict, seed: int | None
) -> None:
    with pytest.raises(PowerCut):
        train(tmp_path / 'a', stop=dict(moment='before_train_iter', count=7, signal_name=None))
    parts = train(tmp_path / 'a', resume=True, **{'randomness.seed': seed})
    assert differences(whole, parts) == []


HANDLERS = (signal.SIGTERM, signal.SIGUSR1)


@pytest.mark.parametrize('stop', [None, dict(moment='before_train_iter', count=1, signal_name=None)])
def test_signals_are_handled_as_before_once_a_run_ends(tmp_path: Path, stop: dict | None) -> None:
    before = [signal.getsignal(number) for number in HANDLERS]
    with pytest.raises(PowerCut) if stop else nullcontext():
        train(tmp_path, stop=stop)
    assert [signal.getsignal(number) for number in HANDLERS] == before


@pytest.mark.parametrize('number', HANDLERS)
def test_run_told_to_stop_while_it_starts_ends_with_75(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mammo.engine.run.read_config', lambda _: os.kill(os.getpid(), number))
    before = [signal.getsignal(each) for each in HANDLERS]
    with pytest.raises(SystemExit) as end:
        run.train(tmp_path / 'none.py')
    assert end.value.code == 75
    assert [signal.getsignal(each) for each in HANDLERS] == before
