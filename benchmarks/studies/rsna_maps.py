"""The maps of one cache, made once what a neck begins with: the same numbers, read much faster.

cache of a neck without a pool -> cache of the neck: its pool applied to every map, or to its cells of breast
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from mmpretrain.registry import DATASETS
from torch import Tensor
from tqdm import tqdm

from dataset.cache.making import SeededViews
from dataset.cache.maps import FeatureCache, open_for_writing
from mammo.crossval.jobs.state import FINISHED
from mammo.records.storage.files import write_json
from models import TransformerNeck
from models.necks.breast_cells import breast_cells, mean_of_shown

# caches of necks that begin with a pool, and the class as the settings have it; average pooling has any
POOLED = dict(
    gap=None,
    transformer='TransformerNeck',
    mean_token_transformer='MeanTokenTransformerNeck',
    standardised_pooling_within_breast=None,
    transformer_within_breast='TransformerNeck',
)
BREAST_MARGIN = 2  # of the configs *_within_breast.py


def make_pooled(work: Path, neck: str, kind: str | None) -> None:
    """A cache of a neck whose first step is a pool, from the maps of all."""
    out, margin = work / f'maps_{neck}', BREAST_MARGIN if neck.endswith('_within_breast') else None
    if (out / FINISHED).is_file():
        return
    if kind is not None:
        pool: Callable[[Tensor], Tensor] = TransformerNeck(pooling_size=2, breast_margin=margin).pool
    elif margin is not None:
        pool = mean_map_of_shown
    else:
        pool = torch.nn.AdaptiveAvgPool2d(1)
    about = kind and dict(type=kind, pooling_size=2)
    pooled_cache(work / 'maps', out, about, pool, breast_margin=margin, data_root=work / 'study')


def mean_map_of_shown(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 1, 1), over the cells that are not zero."""
    return mean_of_shown(rearrange(maps, 'b c h w -> b (h w) c'))[..., None, None]


def pooled_cache(
    cache_dir: Path,
    out: Path,
    neck: dict[str, Any] | None,
    pool: Callable[[Tensor], Tensor],
    *,
    breast_margin: int | None = None,
    data_root: Path,
) -> None:
    """Write a cache whose maps are the pooled ones of another.

    Args:
        neck: what the settings of a cache say of its neck; None: any neck may read the maps.
        pool: (1, C, H, W) -> (1, C, h, w).
        breast_margin: of the neck; see :mod:`models.necks.breast_cells`.
        data_root: folder of meta.json and of the images that the maps were made of.
    """
    cache = FeatureCache(cache_dir)
    about = cache.about
    names = {kind: about[kind] for kind in ('plain', 'views')}
    shape = pool(torch.from_numpy(cache.read('plain', names['plain'][0], 0))[None]).shape[1:]
    settings = about['settings'] | dict(neck=neck, breast_margin=breast_margin)
    new = open_for_writing(out, settings, names, about['files'], shape)
    for kind, of_kind in names.items():
        images = None if breast_margin is None else Images(cache, kind, data_root)
        for name in tqdm(of_kind, kind):
            for view in range(cache.num_views if kind == 'views' else 1):
                values = torch.from_numpy(cache.read(kind, name, view))[None]
                if images is not None and breast_margin is not None:
                    size = (values.shape[2], values.shape[3])
                    values = values * breast_cells(images.read(name, view), size, breast_margin)
                new.write(kind, name, view, pool(values)[0].numpy())
    shutil.copy(cache_dir / 'backbone.pth', out)
    done = dict(done=[], views=cache.num_views, images=len(names['plain']))
    write_json(out / FINISHED, done)


class Images:
    """What the network saw when it made the maps of one kind."""

    def __init__(self, cache: FeatureCache, kind: str, data_root: Path) -> None:
        settings = cache.about['settings']
        pipeline = settings['train_pipeline' if kind == 'views' else 'test_pipeline']
        data = dict(data_root=str(data_root), ann_file='meta.json', pipeline=pipeline)
        self.dataset = DATASETS.build(dict(type='MammoMultiTaskDataset', **data))
        items = (self.dataset.get_data_info(i) for i in range(len(self.dataset)))
        self.indices = {item['img_name']: i for i, item in enumerate(items)}
        self.seed = settings['seed']

    def read(self, name: str, view: int) -> Tensor:
        """(1, C, H, W), not normalised."""
        views = SeededViews(self.dataset, [(self.indices[name], view)], self.seed)
        return views[0]['inputs'][None].float()
