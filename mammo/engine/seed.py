"""Random numbers of an epoch depend on seed, epoch and process, not on what ran before.

seed, epoch, rank -> state of torch, numpy and random, also in the dataloader's workers
"""

import random
import signal
from typing import Any, cast

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import Runner
from torch.utils.data import get_worker_info


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds each training epoch anew, so that a resumed run draws what an uninterrupted one does."""

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed from seed, epoch and rank, so that a resumed run draws what it would have drawn."""
        seed_all(np.random.SeedSequence([runner.seed, runner.epoch, get_rank()]).generate_state(1)[0])


@FUNCTIONS.register_module()
def seed_worker(*_: int, **__: int) -> None:
    """Seed a dataloader worker from the state of the main process at the start of the epoch.

    NOTE[DIFF]: mmengine gives a worker the same seed in every epoch, so that workers which start anew
    with each epoch repeat its augmentation.
    """
    if get_worker_info():  # a job's signals reach all of its processes, but the main one is to stop the run
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    seed_all(torch.initial_seed() % 2**32)  # torch: a number drawn by the main process, plus worker_id


def seed_all(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """State of this process's random numbers -> plain values."""
    kind, keys, *rest = cast(tuple, np.random.get_state(legacy=True))
    version, numbers, gauss = random.getstate()
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return dict(
        torch=torch.get_rng_state(),
        cuda=cuda,
        numpy=(kind, torch.from_numpy(keys.astype(np.int64)), *rest),
        python=(version, torch.tensor(numbers), gauss),
    )


def restore_random_state(state: dict[str, Any]) -> None:
    """Set the generators to a state that a checkpoint kept."""
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers.tolist()), gauss))
    torch.set_rng_state(state['torch'].cpu())
    if state['cuda'] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
