"""Embeddings of a held-out set by the network in training, which is left as it was.

dataset, model -> {'backbone': (n, C), 'projection': (n, D)} on every process
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmpretrain.utils import get_ori_model
from numpy.typing import NDArray
from torch import nn

from mammo.engine.seed import random_state, restore_random_state, seed_all
from mammo.errors import DataError

Embeddings = dict[str, NDArray]


def embed(model: nn.Module, dataset: Any, batch_size: int) -> Embeddings:
    """Embed each image of a dataset, in its order; the processes share the batches.

    The mode of the model and the random numbers of the training stay as they are.

    Raises:
        DataError: the images differ in size.
    """
    starts = range(get_rank() * batch_size, len(dataset), get_world_size() * batch_size)
    with _left_as_it_was(model):
        module: Any = get_ori_model(model)
        local = {start: _embed_batch(module, _batch(dataset, start, batch_size)) for start in starts}
    parts = {start: part for share in all_gather_object(local) for start, part in share.items()}
    return {name: np.concatenate([parts[start][name] for start in sorted(parts)]) for name in parts[0]}


def _batch(dataset: Any, start: int, batch_size: int) -> torch.Tensor:
    """The next images. -> (B, C, H, W)"""
    images = [dataset[i]['inputs'] for i in range(start, min(start + batch_size, len(dataset)))]
    if len({image.shape for image in images}) > 1:
        raise DataError(
            'learning monitor: held-out images differ in size after the pipeline of '
            'default_hooks.learning_monitor.dataset; end it with Resize or CenterCrop before packing'
        )
    return torch.stack(images)


def _embed_batch(module: Any, images: torch.Tensor) -> Embeddings:
    """Pooled features of the (online) backbone, and their projection if the algorithm has one."""
    inputs = module.data_preprocessor(dict(inputs=images, data_samples=[]), False)['inputs']
    maps = module.extract_feat(inputs)
    embeddings = dict(backbone=_pooled(maps[-1]))
    neck: Any = getattr(module, 'neck', None)
    if hasattr(neck, 'forward_projection'):  # SwAV, whose forward wants the maps of all sizes of crops
        embeddings['projection'] = neck.forward_projection(embeddings['backbone'])
    elif neck is not None and len(inspect.signature(neck.forward).parameters) == 1:  # else a decoder
        embeddings['projection'] = _pooled(neck(maps)[-1])
    return {name: value.float().cpu().numpy() for name, value in embeddings.items()}


def _pooled(features: torch.Tensor) -> torch.Tensor:
    """Mean over places: a map (B, C, h, w), tokens (B, N, C) or a vector (B, C) -> (B, C)."""
    if features.ndim == 4:
        return features.mean(dim=(2, 3))
    return features.mean(dim=1) if features.ndim == 3 else features


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and random numbers that are the same each time, for the block only."""
    state, was_training = random_state(), model.training
    seed_all(0)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
        restore_random_state(state)
