"""Random numbers of an epoch depend on seed, epoch and process, not on what ran before.

seed, epoch, rank -> state of torch, numpy and random, also in the dataloader's workers
"""

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds each training epoch anew, so that a resumed run draws what an uninterrupted one does."""

    def before_train_epoch(self, runner: Runner) -> None:
        seed_all(np.random.SeedSequence([runner.seed, runner.epoch, get_rank()]).generate_state(1)[0])


@FUNCTIONS.register_module()
def seed_worker(*_: int, **__: int) -> None:
    """Seed a dataloader worker from the state of the main process at the start of the epoch.

    NOTE[DIFF]: mmengine gives a worker the same seed in every epoch, so that workers which start anew
    with each epoch repeat its augmentation.
    """
    seed_all(torch.initial_seed() % 2**32)  # torch: a number drawn by the main process, plus worker_id


def seed_all(seed: int) -> None:
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
