"""Random numbers of an epoch, of workers, and of a run that goes on."""

import random
import signal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mammo.engine.seed import EpochSeedHook, random_state, restore_random_state, seed_all, seed_worker

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def draws() -> tuple[float, ...]:
    """Of each generator an even and an odd number, so that a kept second normal number shows."""
    return (random.random(), random.gauss(), np.random.random(), np.random.normal(), torch.rand(1).item())


@pytest.fixture(autouse=True)
def _own_random_numbers() -> Any:
    state = random_state()
    yield
    restore_random_state(state)


def of_epoch(monkeypatch: pytest.MonkeyPatch, seed: int, epoch: int, rank: int) -> tuple[float, ...]:
    monkeypatch.setattr('mammo.engine.seed.get_rank', lambda: rank)
    runner: Any = SimpleNamespace(seed=seed, epoch=epoch)
    EpochSeedHook().before_train_epoch(runner)
    return draws()


def test_seed_epoch_and_process_each_change_all_generators_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = of_epoch(monkeypatch, 3, 1, 2)
    draws()
    assert of_epoch(monkeypatch, 3, 1, 2) == wanted
    others = [of_epoch(monkeypatch, *changed) for changed in ((4, 1, 2), (3, 2, 2), (3, 1, 3), (1, 3, 2))]
    assert all(len(set(of_generator)) == 5 for of_generator in zip(wanted, *others, strict=True))


def test_restored_generators_go_on_where_they_were() -> None:
    seed_all(5)
    draws()
    state = random_state()
    wanted = draws(), draws()
    seed_all(6)
    restore_random_state(state)
    assert (draws(), draws()) == wanted


def test_states_hold_plain_values_only(tmp_path: Any) -> None:
    torch.save(random_state(), tmp_path / 'state.pth')
    restore_random_state(torch.load(tmp_path / 'state.pth', weights_only=True))


class Draws(Dataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> tuple[tuple[float, ...], list[bool]]:
        return draws(), [signal.getsignal(number) == signal.SIG_IGN for number in SIGNALS]


def of_workers(seed: int) -> list[tuple[float, ...]]:
    """Two epochs of two workers with one image each."""
    torch.manual_seed(seed)
    loader: Any = DataLoader(Draws(), num_workers=2, worker_init_fn=seed_worker, collate_fn=lambda x: x[0])
    results = [result for _ in range(2) for result in loader]
    assert all(all(ignored) for _, ignored in results)  # a stop is for the main process
    return [drawn for drawn, _ in results]


def test_workers_draw_other_numbers_in_each_epoch_and_the_same_again_from_one_seed() -> None:
    first = of_workers(0)
    assert of_workers(0) == first
    assert all(len(set(of_generator)) == 4 for of_generator in zip(*first, strict=True))


def test_a_worker_ignores_what_stops_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mammo.engine.seed.get_worker_info', lambda: SimpleNamespace(id=0))
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        seed_worker(0)
        assert {signal.getsignal(number) for number in SIGNALS} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_numbers_of_a_gpu_go_on_too_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    without, restored = random_state(), []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_rng_state', lambda: torch.tensor([3]))
    monkeypatch.setattr(torch.cuda, 'set_rng_state', lambda state: restored.append(state.tolist()))
    restore_random_state(without | dict(cuda=None))
    restore_random_state(random_state())
    assert restored == [[3]]
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    restore_random_state(without | dict(cuda=torch.tensor([3])))
    assert restored == [[3]]


def test_in_the_main_process_signals_stay_and_numbers_follow_torch() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    torch.manual_seed(2**32 + 7)
    seed_worker()
    assert [signal.getsignal(number) for number in SIGNALS] == before
    after = draws()
    seed_all(7)
    assert draws() == after
