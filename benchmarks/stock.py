"""What ours is measured against: the pipeline of a config as MMPreTrain's and MMCV's own classes build it.

config of transforms -> the same with the stock loading, transforms and preprocessor
"""

from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmpretrain.datasets import transforms
from mmpretrain.models.utils import data_preprocessor
from mmpretrain.registry import MODELS, TRANSFORMS

LOADERS = dict(LoadMammogram=LoadImageFromFile)
AUGMENTATIONS = {name: getattr(transforms, name) for name in ('AutoContrast', 'Equalize', 'Brightness')}
PREPROCESSORS = {
    name: getattr(data_preprocessor, name) for name in ('ClsDataPreprocessor', 'SelfSupDataPreprocessor')
}
REPLACED = LOADERS | AUGMENTATIONS | PREPROCESSORS

for _name, _class in REPLACED.items():
    (MODELS if _name in PREPROCESSORS else TRANSFORMS).register_module(name=f'Stock{_name}', module=_class)


def as_stock(config: Any) -> Any:
    """A config, or a list of them, whose replaced types are the stock ones; three channels from file on."""
    if isinstance(config, list | tuple):
        return type(config)(as_stock(item) for item in config)
    if not isinstance(config, dict):
        return config
    changed = {key: as_stock(value) for key, value in config.items()}
    return dict(changed, type=f'Stock{changed["type"]}') if changed.get('type') in REPLACED else changed
