"""Datasets and transforms; importing this package registers them with mmpretrain."""

from dataset.multi_task import MammoMultiTaskDataset
from dataset.packing import MammoPackMultiTaskInputs
from dataset.single_task import MammoSingleTaskDataset
from dataset.transforms import LoadMammogram

__all__ = ['LoadMammogram', 'MammoMultiTaskDataset', 'MammoPackMultiTaskInputs', 'MammoSingleTaskDataset']
