"""What tells a run to stop, when it may, and where it goes on."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mammo.engine.loading.checkpoint import CheckpointError
from mammo.engine.saving.stop import (
    AT_WORK,
    ResumableTrainLoop,
    StopSignal,
    gradients_are_pending,
    handling_signals,
)


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in AT_WORK]


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    before, stop = handlers(), StopSignal()
    stop.watch()
    yield stop
    stop.release()
    assert handlers() == before


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_is_remembered(stop: StopSignal, number: signal.Signals) -> None:
    assert not stop.agreed()
    os.kill(os.getpid(), number)
    assert stop.agreed()
    assert stop.received == number.name


def test_a_second_ctrl_c_ends_at_once(stop: StopSignal, capfd: pytest.CaptureFixture) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err == (
        'Ctrl-C: the batch is finished and the state saved; once more ends at once\n'
    )
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_after_another_signal_says_nothing(stop: StopSignal, capfd: pytest.CaptureFixture) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err == ''


def test_of_several_processes_none_ends_by_a_second_ctrl_c(
    stop: StopSignal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mammo.engine.saving.stop.get_world_size', lambda: 2)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.received == 'SIGINT'


def test_all_processes_stop_if_one_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_another(flag: torch.Tensor, how: str) -> None:
        assert how == 'max'
        flag.clamp_(min=1)

    monkeypatch.setattr('mammo.engine.saving.stop.all_reduce', with_another)
    assert StopSignal().agreed()


def test_other_threads_leave_signals_alone() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with handling_signals(lambda *_: None):
            StopSignal().watch()
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_handler_is_for_those_who_manage_jobs_and_ends_with_its_block() -> None:
    before, told = handlers(), []

    def fail() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == before[-1]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), handling_signals(lambda number, _: told.append(number)):
        fail()
    assert told == [signal.SIGTERM]
    assert handlers() == before


def test_a_gradient_of_any_optimizer_and_group_is_pending() -> None:
    layers = [torch.nn.Linear(1, 1) for _ in range(4)]
    wrappers = [
        OptimWrapper(torch.optim.SGD([dict(params=layer.parameters()) for layer in pair], lr=0.1))
        for pair in (layers[:2], layers[2:])
    ]
    optimizers = OptimWrapperDict(a=wrappers[0], b=wrappers[1])
    assert not gradients_are_pending(optimizers)
    for i, layer in enumerate(layers):
        layer.bias.grad = torch.zeros(1)
        assert gradients_are_pending(optimizers)
        assert [gradients_are_pending(each) for each in wrappers] == [i < 2, i >= 2]
        layer.bias.grad = None


def test_a_place_within_an_epoch_is_for_as_many_processes() -> None:
    loop = ResumableTrainLoop.__new__(ResumableTrainLoop)
    for place in (None, dict(random=[0], batches_done=2)):
        loop.go_on_from(place)
        assert loop.position == place
    with pytest.raises(
        CheckpointError,
        match='on 3 processes, the run is to go on with 1: use as many, or go on from an epoch_',
    ):
        loop.go_on_from(dict(random=[0, 1, 2]))
