"""Datasets and transforms; importing this package registers them with mmpretrain."""

from dataset.cache.making import make_cache
from dataset.cache.training import CachedViewHook, LoadCachedMap
from dataset.multi_task import MammoMultiTaskDataset
from dataset.patches import MammoPatchDataset
from dataset.single_task import MammoSingleTaskDataset
from dataset.transforms.grey_noise import GreyNoise, RandomGamma
from dataset.transforms.grey_transforms import AutoContrast, Brightness, Equalize
from dataset.transforms.loading import LoadMammogram
from dataset.transforms.packing import MammoPackMultiTaskInputs, PackInputs
from dataset.views import LoadViews, MammoMultiViewDataset
