"""Losses over the batch of all processes, with the gradients that DistributedDataParallel needs.

rows or losses of this process -> those of all; DistributedDataParallel averages gradients afterwards
"""

import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes in order of rank; gradients flow to the rows of this process only.

    Shape:
        (n, C) -> (processes * n, C)
    """
    parts = all_gather(rows.detach().contiguous())
    parts[get_rank()] = rows
    return torch.cat(parts)  # (N, C)


def loss_of_all_rows(loss: Tensor) -> Tensor:
    """A scalar that every process computed from :func:`gather_rows`, with its gradient times processes.

    Each process holds the derivative by its own rows: their sum over processes is wanted, and the
    average of the scaled ones is that sum.
    """
    scaled = loss * get_world_size()
    return scaled - scaled.detach() + loss.detach()


def mean_of_processes(loss: Tensor) -> Tensor:
    """A scalar mean over rows of this process, with the value of the mean over those of all."""
    mean = loss.detach().clone()
    all_reduce(mean, op='mean')
    return loss - loss.detach() + mean
