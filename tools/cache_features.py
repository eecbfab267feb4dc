"""Run a frozen backbone once over all images, so that necks train from its maps.

config, meta files -> DIR: K augmented views (float16) and a plain map (float32) per image; resumes
"""

import argparse
import copy
import hashlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from dataset.cached_features import LOADERS, backbone_of, settings_of, sha256_of
from dataset.feature_cache import FeatureCache, fingerprints, open_for_writing
from mammo.engine.cli import load_config, one_message_for_bad_input
from mammo.engine.config import set_options
from mammo.engine.image_check import check_images
from mammo.engine.seed import seed_all
from mammo.options import add_config_arguments
from mammo.records.files import replacing


class Part(NamedTuple):
    """Images of one meta file and what is made of them."""

    dataset: Any
    kind: str  # plain or views
    num_views: int
    batch_size: int


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('--views', type=int, required=True, metavar='K', help='0: no augmentation')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.add_argument(
        '--ann-file',
        nargs='+',
        help='meta files, relative to data_root, whose images get views and a plain map (cross-validation); '
        "default: views for the config's train file, plain maps for its val and test files",
    )
    parser.add_argument('--seed', type=int, default=0, help='of the views')
    args = parser.parse_args()
    if args.views < 0:
        parser.error(f'--views is {args.views}, expected 0 or more')
    return args


def parts_of(cfg: Config, args: argparse.Namespace) -> list[Part]:
    """What is to be made; a meta file that two loaders name is there once."""
    wanted = [(key, cfg[key].dataset.ann_file) for key in LOADERS if cfg.get(key)]
    if args.ann_file:
        wanted = [(key, file) for key in ('train_dataloader', 'test_dataloader') for file in args.ann_file]
    parts: dict[tuple[str, str], Part] = {}
    for key, file in wanted:
        kind = 'views' if key == 'train_dataloader' and args.views else 'plain'
        pipeline = cfg[key if kind == 'views' else 'test_dataloader'].dataset.pipeline
        dataset = DATASETS.build({**cfg[key].dataset, 'ann_file': file, 'pipeline': pipeline})
        parts[kind, dataset.ann_file] = Part(
            dataset, kind, args.views if kind == 'views' else 1, cfg[key].batch_size
        )
    return list(parts.values())


def items_of(part: Part) -> list[dict[str, Any]]:
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
        image = int.from_bytes(hashlib.sha256(item['img_name'].encode()).digest()[:8], 'big')
        seed_all(np.random.SeedSequence([self.seed, image, view]).generate_state(1)[0])
        return self.dataset.pipeline(item)


def batches_to_do(cache: FeatureCache, part: Part) -> Iterator[list[tuple[int, int]]]:
    """Batches of (image, view) of which a map is missing; whole ones, as an uninterrupted run has them."""
    names = [item['img_name'] for item in items_of(part)]
    for view in range(part.num_views):
        for start in range(0, len(names), part.batch_size):
            images = range(start, min(start + part.batch_size, len(names)))
            if not all(cache.has(part.kind, names[i], view) for i in images):
                yield [(i, view) for i in images]


def make_maps(
    cfg: Config, model: torch.nn.Module, part: Part, cache: FeatureCache, *, seed: int, amp: bool
) -> None:
    """Fill the cache with what is missing of a part."""
    todo = list(batches_to_do(cache, part))
    work = [pair for batch in todo for pair in batch]
    ends = np.cumsum([0, *map(len, todo)])
    sampler = [range(a, b) for a, b in itertools.pairwise(ends)]
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


def map_shape(model: torch.nn.Module, part: Part) -> tuple[int, ...]:
    """Shape (C, h, w) of the maps, from the first image."""
    batch = default_collate([SeededViews(part.dataset, [(0, 0)], 0)[0]])
    with torch.inference_mode():
        return tuple(model.maps_for_neck(model.data_preprocessor(batch)['inputs']).shape[1:])


def open_cache(
    args: argparse.Namespace, cfg: Config, model: torch.nn.Module, parts: list[Part]
) -> FeatureCache:
    """The cache of these parts, new or begun by an earlier call, with the weights that make the maps."""
    made_by = dict(seed=args.seed, amp=args.amp)
    settings = settings_of(cfg, args.views) | made_by | dict(backbone_sha256=sha256_of(model.backbone))
    names: dict[str, list[str]] = dict(plain=[], views=[])
    for part in parts:
        names[part.kind] += [item['img_name'] for item in items_of(part)]
    names = {kind: list(dict.fromkeys(of_kind)) for kind, of_kind in names.items()}
    cache = open_for_writing(
        args.out, settings, names, fingerprints(all_paths(parts)), map_shape(model, parts[0])
    )
    with replacing(args.out / 'backbone.pth') as tmp:
        torch.save(dict(state_dict=model.backbone.state_dict()), tmp)
    return cache


def all_paths(parts: list[Part]) -> dict[str, str]:
    """Path by name of every image."""
    return {item['img_name']: item['img_path'] for part in parts for item in items_of(part)}


def main() -> None:
    args = parse_args()
    with one_message_for_bad_input():
        cfg = load_config(args)
        set_options(cfg, args.cfg_options)
        init_default_scope(cfg.get('default_scope', 'mammo'))
        parts = parts_of(cfg, args)
        if args.check_data:
            check_images(all_paths(parts).values())
        model = MODELS.build(copy.deepcopy(cfg.model))
        model.backbone.load_state_dict(backbone_of(cfg).state_dict())
        model.to(get_device()).eval()
        cache = open_cache(args, cfg, model, parts)
        for part in parts:
            make_maps(cfg, model, part, cache, seed=args.seed, amp=args.amp)
    print_log(f'{args.out}: maps of {len(all_paths(parts))} images, {args.views} views', 'current')


if __name__ == '__main__':
    main()
