"""Which meta files a run reads, and where their images are.

Config, folder of a fold -> Config whose dataloaders read it
"""

import os
from pathlib import Path

from mmengine.config import Config

from mammo.engine.config.keys import ConfigError
from mammo.engine.log import tell
from mammo.records.folds import PARTS, image_folder
from mammo.records.meta import read_meta


def use_fold(cfg: Config, fold: str | os.PathLike) -> None:
    """Read train, val and test.json of a folder, with images where they are found.

    Raises:
        ConfigError: a file is missing.
    """
    folder = Path(fold).resolve()
    for part in PARTS:
        meta = folder / f'{part}.json'
        if not meta.is_file():
            raise ConfigError(f'--fold {fold}: no {meta.name}; make folds with tools/split.py')
        if cfg.get(f'{part}_dataloader'):
            cfg[f'{part}_dataloader'].dataset.ann_file = str(meta)
    find_images(cfg, folder / 'train.json')


def find_images(cfg: Config, meta: Path) -> None:
    """Set the folder of images to where those of a meta file are, unless they are in the config's own."""
    dataset = cfg.train_dataloader.dataset
    items = read_meta(meta)['data_list']
    first = os.path.join(dataset.get('data_prefix') or '', items[0]['img_path']) if items else ''
    if not first or os.path.isfile(os.path.join(dataset.get('data_root') or '', first)):
        return
    folder = image_folder(meta, first)
    if folder:
        tell(f'images: {folder}')
        for part in PARTS:
            if cfg.get(f'{part}_dataloader'):
                cfg[f'{part}_dataloader'].dataset.data_root = str(folder)
