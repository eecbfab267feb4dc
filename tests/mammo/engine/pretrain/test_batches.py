"""Batches that training cannot work with are refused with the fix."""

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mammo.engine.pretrain import check_batches
from mammo.errors import DataError

POOLING = dict(type='GlobalAveragePooling')
SELF_SUPERVISED = dict(
    type='BarlowTwins',
    backbone=dict(type='ResNetWs', depth=50, stem_channels=4, base_channels=4),
    neck=POOLING,
    head=dict(type='LatentCrossCorrelationHead', in_channels=64, loss=dict(type='CrossCorrelationLoss')),
)


def loader(num_images: int, batch_size: int, **kwargs: bool) -> DataLoader:
    return DataLoader(TensorDataset(torch.zeros(num_images)), batch_size, **kwargs)


def test_enough_images_pass() -> None:
    check_batches(loader(9, 4), nn.Identity(), num_processes=2)
    check_batches(loader(9, 4, drop_last=True), MODELS.build(SELF_SUPERVISED), num_processes=1)


def test_fewer_images_than_processes_are_refused() -> None:
    with pytest.raises(
        DataError, match=r'3 images for 4 process.* fewer than the processes: start at most 3'
    ):
        check_batches(loader(3, 2), nn.Identity(), num_processes=4)


def test_no_batch_at_all_is_refused() -> None:
    with pytest.raises(
        DataError, match=r'drop_last=True make no batch: set train_dataloader.batch_size to at most 5'
    ):
        check_batches(loader(5, 8, drop_last=True), nn.Identity(), num_processes=1)


@pytest.mark.parametrize(('num_images', 'batch_size'), [(9, 4), (5, 1)])
def test_batch_of_one_image_is_refused_in_pretraining_only(num_images: int, batch_size: int) -> None:
    check_batches(loader(num_images, batch_size), nn.Identity(), num_processes=1)
    with pytest.raises(DataError, match=r'batch of a single image, which batch norm .*drop_last=True'):
        check_batches(loader(num_images, batch_size), MODELS.build(SELF_SUPERVISED), num_processes=1)
