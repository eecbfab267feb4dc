"""The maps of one cache, pooled once for a neck that begins with a pool: the same numbers, read much faster.

cache of a neck without a pool -> cache of the neck: its pool applied to every map
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dataset.cache.maps import FeatureCache, open_for_writing
from mammo.crossval.jobs.state import FINISHED
from mammo.records.storage.files import write_json


def pooled_cache(
    cache_dir: Path, out: Path, neck: dict[str, Any] | None, pool: Callable[[Tensor], Tensor]
) -> None:
    """Write a cache whose maps are the pooled ones of another.

    Args:
        neck: what the settings of a cache say of its neck; None: any neck may read the maps.
        pool: (1, C, H, W) -> (1, C, h, w).
    """
    cache = FeatureCache(cache_dir)
    about = cache.about
    names = {kind: about[kind] for kind in ('plain', 'views')}
    shape = pool(torch.from_numpy(cache.read('plain', names['plain'][0], 0))[None]).shape[1:]
    new = open_for_writing(out, about['settings'] | dict(neck=neck), names, about['files'], shape)
    for kind, of_kind in names.items():
        for name in tqdm(of_kind, kind):
            for view in range(cache.num_views if kind == 'views' else 1):
                values = torch.from_numpy(cache.read(kind, name, view))[None]
                new.write(kind, name, view, pool(values)[0].numpy())
    shutil.copy(cache_dir / 'backbone.pth', out)
    done = dict(done=[], views=cache.num_views, images=len(names['plain']))
    write_json(out / FINISHED, done)
