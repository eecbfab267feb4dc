"""Feature caches: a frozen backbone run once over all images.

config, meta files -> DIR: K augmented views (float16) and a plain map (float32) per image; resumes
"""

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.registry import FUNCTIONS, init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from dataset.cache.maps import CacheError, FeatureCache, fingerprints, open_for_writing
from dataset.cache.training import LOADERS, backbone_of, module_sha256, paths_of, settings_of
from mammo.engine.checks.images import check_images
from mammo.engine.config.reading import set_options
from mammo.engine.run import load_config
from mammo.engine.seed import seed_all
from mammo.records.storage.files import replacing, sha256_of_bytes


@FUNCTIONS.register_module()
def make_cache(
    config: str | Path,
    out: Path,
    *,
    views: int,
    ann_file: list[str] | None = None,
    seed: int = 0,
    cfg_options: list[str] | None = None,
    **shared: Any,
) -> int:
    """Make or complete a cache.

    Args:
        config: of a model with a frozen backbone.
        out: folder of the cache.
        views: augmented maps per image; 0: no augmentation.
        ann_file: meta files, relative to ``data_root``, whose images get views and a plain map;
            default: views for the config's train file, plain maps for its val and test files.
        seed: of the views.
        cfg_options: ``key=value`` texts, which come last and win.
        **shared: see :func:`mammo.engine.run.load_config`.

    Returns:
        Number of images.

    Raises:
        UserError: config or data cannot be used, or the folder holds another cache.
    """
    cfg, amp = load_config(config, **shared), shared.get('amp', False)
    set_options(cfg, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mammo'))
    parts = parts_of(cfg, views, ann_file)
    if shared.get('check_data', True):
        check_images(all_paths(parts).values())
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.backbone.load_state_dict(backbone_of(cfg).state_dict())
    model.to(get_device()).eval()
    cache = open_cache(out, cfg, model, parts, views=views, seed=seed, amp=amp)
    for part in parts:
        make_maps(cfg, model, part, cache, seed=seed, amp=amp)
    return len(all_paths(parts))


class Part(NamedTuple):
    """Images of one meta file and what is made of them."""

    dataset: Any
    kind: str  # plain or views
    num_views: int
    batch_size: int


def parts_of(cfg: Config, views: int, ann_file: list[str] | None) -> list[Part]:
    """What is to be made; a meta file that two loaders name is there once."""
    wanted = [(key, cfg[key].dataset.ann_file) for key in LOADERS if cfg.get(key)]
    if ann_file:
        wanted = [(key, file) for key in ('train_dataloader', 'test_dataloader') for file in ann_file]
    parts: dict[tuple[str, str], Part] = {}
    for key, file in wanted:
        kind = 'views' if key == 'train_dataloader' and views else 'plain'
        pipeline = cfg[key if kind == 'views' else 'test_dataloader'].dataset.pipeline
        dataset = DATASETS.build({**cfg[key].dataset, 'ann_file': file, 'pipeline': pipeline})
        parts[kind, dataset.ann_file] = Part(
            dataset, kind, views if kind == 'views' else 1, cfg[key].batch_size
        )
    return list(parts.values())


def samples_of(part: Part) -> list[dict[str, Any]]:
    """Every sample of a part, of one image or of several views, as its dataset gives it."""
    return [part.dataset.get_data_info(i) for i in range(len(part.dataset))]


class SeededViews(Dataset):
    """Pipeline outputs of (image, view); random numbers depend on seed, image name and view only."""

    def __init__(self, dataset: Any, work: list[tuple[int, int]], seed: int) -> None:
        self.dataset, self.work, self.seed = dataset, work, seed

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, i: int) -> dict[str, Any]:
        index, view = self.work[i]
        item = self.dataset.get_data_info(index)
        image = int(sha256_of_bytes(item['img_name'].encode())[:16], 16)
        seed_all(np.random.SeedSequence([self.seed, image, view]).generate_state(1)[0])
        return self.dataset.pipeline(item)


def batches_to_do(cache: FeatureCache, part: Part) -> Iterator[list[tuple[int, int]]]:
    """Batches of (image, view) of which a map is missing; whole ones, as an uninterrupted run has them."""
    names = [item['img_name'] for item in samples_of(part)]
    for view in range(part.num_views):
        for start in range(0, len(names), part.batch_size):
            images = range(start, min(start + part.batch_size, len(names)))
            if not all(cache.has(part.kind, names[i], view) for i in images):
                yield [(i, view) for i in images]


def make_maps(cfg: Config, model: Any, part: Part, cache: FeatureCache, *, seed: int, amp: bool) -> None:
    """Fill the cache with what is missing of a part."""
    todo = list(batches_to_do(cache, part))
    work = [pair for batch in todo for pair in batch]
    ends = np.cumsum([0, *map(len, todo)])
    sampler = [list(range(a, b)) for a, b in itertools.pairwise(ends)]
    views = SeededViews(part.dataset, work, seed)
    batches = DataLoader(
        views, batch_sampler=sampler, num_workers=cfg.test_dataloader.num_workers, collate_fn=default_collate
    )
    for batch, pairs in zip(tqdm(batches, f'batches of {part.kind} maps'), todo, strict=True):
        with torch.inference_mode(), torch.autocast(get_device(), enabled=amp):
            maps = model.maps_for_neck(model.data_preprocessor(batch)['inputs'])
        for sample, (_, view), values in zip(
            batch['data_samples'], pairs, maps.float().cpu().numpy(), strict=True
        ):
            cache.write(part.kind, sample.img_name, view, values)


def map_shape(model: Any, part: Part) -> tuple[int, ...]:
    """Shape (C, h, w) of the maps, from the first image."""
    batch = default_collate([SeededViews(part.dataset, [(0, 0)], 0)[0]])
    with torch.inference_mode():
        inputs = model.data_preprocessor(batch)['inputs']
        n_maps = len(model.maps(inputs))
        if n_maps != 1:
            raise CacheError(
                f'model.backbone emits {n_maps} maps, a cache holds the last: set out_indices to that one'
            )
        return tuple(model.maps_for_neck(inputs).shape[1:])


def open_cache(
    out: Path, cfg: Config, model: Any, parts: list[Part], *, views: int, seed: int, amp: bool
) -> FeatureCache:
    """The cache of these parts, new or begun by an earlier call, with the weights that make the maps."""
    made_by = dict(seed=seed, amp=amp)
    settings = settings_of(cfg, views) | made_by | dict(backbone_sha256=module_sha256(model.backbone))
    names: dict[str, list[str]] = dict(plain=[], views=[])
    for part in parts:
        names[part.kind] += [item['img_name'] for item in samples_of(part)]
    names = {kind: list(dict.fromkeys(of_kind)) for kind, of_kind in names.items()}
    cache = open_for_writing(out, settings, names, fingerprints(all_paths(parts)), map_shape(model, parts[0]))
    with replacing(out / 'backbone.pth') as tmp:
        torch.save(dict(state_dict=model.backbone.state_dict()), tmp)
    return cache


def all_paths(parts: list[Part]) -> dict[str, str]:
    """Path by name of every image."""
    return {name: path for part in parts for name, path in paths_of(part.dataset).items()}
