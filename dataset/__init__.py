"""Datasets and transforms; importing this package registers them with mmpretrain."""

from dataset.cache_making import make_cache
from dataset.cached_features import CachedViewHook, LoadCachedMap
from dataset.grey_noise import GreyNoise, RandomGamma
from dataset.grey_transforms import AutoContrast, Brightness, Equalize
from dataset.multi_task import MammoMultiTaskDataset
from dataset.packing import MammoPackMultiTaskInputs, PackInputs
from dataset.patches import MammoPatchDataset
from dataset.single_task import MammoSingleTaskDataset
from dataset.transforms import LoadMammogram
from dataset.views import LoadViews, MammoMultiViewDataset

__all__ = [
    'AutoContrast',
    'Brightness',
    'CachedViewHook',
    'Equalize',
    'GreyNoise',
    'LoadCachedMap',
    'LoadMammogram',
    'LoadViews',
    'MammoMultiTaskDataset',
    'MammoMultiViewDataset',
    'MammoPackMultiTaskInputs',
    'MammoPatchDataset',
    'MammoSingleTaskDataset',
    'PackInputs',
    'RandomGamma',
    'make_cache',
]
