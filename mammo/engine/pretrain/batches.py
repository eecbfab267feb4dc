"""Batches that training can work with.

training dataloader, model, processes -> nothing, or one error with the fix
"""

import math

import torch
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.utils import get_ori_model
from torch import nn
from torch.utils.data import DataLoader

from mammo.errors import DataError


def check_batches(loader: DataLoader, model: nn.Module, *, num_processes: int) -> None:
    """Make sure that every process gets batches, and in pretraining never one that batch norm refuses.

    Args:
        loader: of one process.
        model: a self-supervisor normalises vectors, one per image, so that one image is too few.
        num_processes: that share the dataset.

    Raises:
        DataError: fewer images than processes, no batch at all, or one of a single image.
    """
    num_images, batch_size = len(loader.dataset), loader.batch_size or 1  # type: ignore[arg-type]
    share = math.ceil(num_images / num_processes)  # the sampler fills up the last round
    setup = f'train_dataloader: {num_images} images for {num_processes} process(es) with {batch_size=}'
    if num_images < num_processes:
        raise DataError(f'{setup} are fewer than the processes: start at most {num_images}, or add images')
    if len(loader) == 0:
        raise DataError(
            f'{setup} and drop_last=True make no batch: set train_dataloader.batch_size to at most {share}, '
            'start fewer processes, or add images'
        )
    smallest = batch_size if loader.drop_last else share % batch_size or batch_size
    together = num_processes if torch.cuda.is_available() else 1  # SyncBN exists on GPUs only
    if isinstance(get_ori_model(model), BaseSelfSupervisor) and smallest * together < 2:
        raise DataError(
            f'{setup} make a batch of a single image, which batch norm cannot normalise: set a batch_size '
            'above 1, and train_dataloader.drop_last=True to leave out the rest'
        )
