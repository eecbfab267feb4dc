"""Claim 1 of the study on RSNA 2022: networks pretrained on patches of a fold, judged on their averaged maps.

WORK/{study, folds} -> WORK/patches/fold<N>, WORK/pretraining/<arm>_fold<N>/{backbone.pth, maps}
"""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.studies.rsna_maps import pooled_cache
from benchmarks.studies.steps import Step, resumed, run, step
from mammo.crossval.jobs.state import FINISHED


class Arm(NamedTuple):
    """A way to pretrain, by the config of that name, and what it starts from."""

    method: str | None
    start: str

    @property
    def name(self) -> str:
        return f'{self.method}_{self.start}' if self.method else self.start


METHODS = dict(
    barlowtwins='barlowtwins_64px_patches.py',
    barlowtwins_grey='barlowtwins_64px_patches_grey.py',
    byol='byol_64px_patches.py',
    swav='swav_64px_patches.py',
)
ARMS = [
    Arm(None, 'imagenet'),
    Arm('barlowtwins_grey', 'imagenet'),
    Arm('barlowtwins', 'imagenet'),
    Arm(None, 'random'),
    Arm('barlowtwins', 'random'),
    Arm('barlowtwins_grey', 'random'),
    Arm('byol', 'imagenet'),
    Arm('swav', 'imagenet'),
]  # in the order of their weight for the claim
ARM_NAMES = [arm.name for arm in ARMS]
FIRST_FOLD = '0'


def pretrain_arms(work: Path, weights: Path, names: list[str], folds: list[str], *, dry: bool) -> None:
    """Patches of the women of each outer fold, and of each arm its network and averaged maps."""
    arms = [arm for arm in ARMS if arm.name in names]
    for fold, arm in itertools.product(folds, arms):
        patches, folder = work / f'patches/fold{fold}', folder_of(work, arm, fold)
        os.environ['MAMMO_PATCHES'] = f'{patches}/'
        run([patching(work, fold, patches), *steps_of(arm, fold, work, weights)], dry=dry)
        if not dry:
            average(folder, work / 'study')


def folder_of(work: Path, arm: Arm, fold: str) -> Path:
    """Network and maps of an arm; one for all folds where nothing is learned from their women."""
    return work / f'pretraining/{arm.name}_fold{fold if arm.method else FIRST_FOLD}'


def patching(work: Path, fold: str, out: Path) -> Step:
    """One patch of 128 pixels of every image of the women that the fold does not test."""
    tested = work / 'folds' / fold / '0/test.json'
    size = ['--size', 128, '--stride', 64, '--max-per-image', 1]
    where = ['--exclude', tested, '--out-dir', out, *resumed(out)]
    return step(
        'tools/extract_patches.py', work / 'study/meta.json', *size, *where, done=out / 'patches.json'
    )


def network_of(arm: Arm, work: Path, fold: str, weights: Path) -> list[str]:
    """Settings of a config that make its backbone the network of an arm."""
    checkpoint, prefix = 'model.backbone.init_cfg.checkpoint', 'model.backbone.init_cfg.prefix=None'
    if arm.method:
        return [f'{checkpoint}={folder_of(work, arm, fold) / "backbone.pth"}']
    return (
        [f'{checkpoint}={weights}', prefix] if arm.start == 'imagenet' else ['model.backbone.init_cfg=None']
    )


def steps_of(arm: Arm, fold: str, work: Path, weights: Path) -> Iterator[Step]:
    """Pretraining, if it is one, and the maps of all images by the network that comes out."""
    folder = folder_of(work, arm, fold)
    if arm.method:
        config = f'configs/rsna/{METHODS[arm.method]}'
        where = ['--work-dir', folder, '--amp', '--resume', '--cfg-options']
        start = network_of(Arm(None, arm.start), work, fold, weights)
        yield step('tools/train.py', config, *where, *start, done=folder / 'backbone.pth')
    roots = [f'{part}_dataloader.dataset.data_root={work / "study"}/' for part in ('train', 'val', 'test')]
    maps = ['--views', 0, '--out', folder / 'full', '--amp', '--ann-file', 'meta.json']
    where = ['--work-dir', folder / 'maps_log', '--cfg-options']
    config, network = 'configs/rsna/pretrained_320_gap.py', network_of(arm, work, fold, weights)
    done = folder / 'maps' / FINISHED
    yield step('tools/cache_features.py', config, *maps, *where, *roots, *network, done=done)


def average(folder: Path, data_root: Path) -> None:
    """Averages take the place of the maps, which need a thousand times the space."""
    if not (folder / 'maps' / FINISHED).is_file():
        pool = torch.nn.AdaptiveAvgPool2d(1)
        pooled_cache(folder / 'full', folder / 'maps', None, pool, data_root=data_root)
        shutil.rmtree(folder / 'full')
