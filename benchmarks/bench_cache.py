"""Double cross-validation from cached maps against backbone passes in every epoch: measured small, projected.

CPU seconds of backbone, neck step and map, measured at published size -> seconds per image of the study
Command: OMP_NUM_THREADS=1 python benchmarks/bench_cache.py
With n images, F folds, E epochs, K views, shares t and v of training and validation images:
    uncached = n F E ((t + v) backbone + t step + v forward)
    cached   = n (K + 1) backbone + n F E ((t + v) read + t step + v forward)
Decoding and augmentation, which the uncached way repeats F E times, are left out: the ratio is a lower bound.
Both sides run the folded backbone. A small case is run both ways, whole, to hold the formula against it.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import limits, table
from benchmarks.bench_model import SIZE, build, gflop
from dataset.cache.maps import FeatureCache, open_for_writing

FORMULA = '; '.join(line.strip() for line in __doc__.splitlines() if line.startswith('    '))


class Study(NamedTuple):
    """A cross-validation of ``n_images``."""

    n_images: int
    folds: int
    epochs: int
    views: int
    train: float  # share of the images, 5 outer folds and 5 inner ones: 0.8 * 0.8
    val: float


class Cost(NamedTuple):
    """CPU seconds for one image."""

    backbone: float
    step: float
    forward: float
    read: float


PUBLISHED = Study(n_images=1, folds=25, epochs=30, views=16, train=0.64, val=0.16)
SMALL = Study(n_images=2, folds=2, epochs=3, views=2, train=0.5, val=0.5)
BATCH = 8  # images of a step of the published study


def project(study: Study, cost: Cost) -> tuple[float, float]:
    """CPU seconds uncached and cached, by the formula above."""
    n, folds, epochs, views, t, v = study
    looks, learn = n * folds * epochs, t * cost.step + v * cost.forward
    uncached = looks * ((t + v) * cost.backbone + learn)
    return uncached, n * (views + 1) * cost.backbone + looks * ((t + v) * cost.read + learn)


def least_gflop(study: Study, model: nn.Module) -> float:
    """Of the cached way: a backward pass of the neck takes two forward ones, reading takes none."""
    neck = gflop(model, backbone=False)
    passes = study.n_images * (study.views + 1) * (gflop(model) - neck)
    return passes + study.n_images * study.folds * study.epochs * (3 * study.train + study.val) * neck


class Work:
    """What both ways do: passes of the backbone, steps and forward passes of the neck, reads of a cache."""

    def __init__(self, model: nn.Module, folder: Path) -> None:
        self.model, self.folder = model, folder
        self.images = torch.randn(1, 1, *SIZE).expand(-1, 3, -1, -1)
        self.model.neck.pooled = True

    @torch.no_grad()
    def backbone(self) -> Tensor:
        return self.model.maps_for_neck(self.images)  # (1, C, h, w)

    def step(self, maps: Tensor) -> None:
        self.model.neck.train()((maps,))[0].square().mean().backward()

    @torch.no_grad()
    def forward(self, maps: Tensor) -> None:
        self.model.neck.eval()((maps,))

    def new_cache(self, study: Study) -> FeatureCache:
        """A cache of a study, filled by passes of the backbone."""
        names = [str(i) for i in range(study.n_images)]
        settings, kinds = dict(num_views=study.views), dict(plain=names, views=names)
        made = [
            (kind, name, view)
            for name in names
            for kind, count in (('plain', 1), ('views', study.views))
            for view in range(count)
        ]
        maps = [self.backbone() for _ in made]
        shape, folder = maps[0].shape[1:], Path(tempfile.mkdtemp(dir=self.folder))
        cache = open_for_writing(folder / 'cache', settings, kinds, {}, shape)
        for place, values in zip(made, maps, strict=True):
            cache.write(*place, values[0].numpy())
        return cache

    def small_case(self, cached: bool) -> None:
        """The whole of SMALL: in each epoch of each fold one image to learn from, and one to validate on."""
        cache = self.new_cache(SMALL) if cached else None
        for epoch in range(SMALL.folds * SMALL.epochs):
            for kind, view, learn in (('views', epoch % SMALL.views, self.step), ('plain', 0, self.forward)):
                learn(torch.from_numpy(cache.read(kind, '0', view))[None] if cache else self.backbone())


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median CPU seconds, after one run to warm up."""
    work()
    return float(np.median([once(work) for _ in range(repeats)]))


def once(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure() -> list[table.Row]:
    """The small case, measured and projected, and the study of the paper, projected."""
    with tempfile.TemporaryDirectory() as folder:
        work = Work(build(), Path(folder))
        peak = table.peak_mib(lambda: work.step(work.backbone()))
        maps, cache = work.backbone(), work.new_cache(SMALL)
        batch = maps.repeat(BATCH, 1, 1, 1)
        alone = Cost(
            seconds(work.backbone),
            seconds(lambda: work.step(maps)),
            seconds(lambda: work.forward(maps)),
            seconds(lambda: cache.read('views', '0', 0)),
        )
        in_batches = alone._replace(
            step=seconds(lambda: work.step(batch)) / BATCH,
            forward=seconds(lambda: work.forward(batch)) / BATCH,
        )
        measured = [once(lambda cached=cached: work.small_case(cached)) for cached in (False, True)]
    expected = project(SMALL, alone)
    by_formula = f'by the formula {expected[0]:.3g} and {expected[1]:.3g}'
    stage = f'{SMALL.folds} folds, {SMALL.epochs} epochs, {SMALL.views} views, measured ({by_formula})'
    total, needs = project(PUBLISHED, in_batches), {limits.FLOAT32: least_gflop(PUBLISHED, work.model)}
    projected = '5 x 5 folds, 30 epochs, 16 views, per image of the study (projected)'
    return [
        table.row(stage, *measured, 's', None),
        table.row(projected, *total, 's', peak, least_ratio=10, needs=needs) | dict(note=FORMULA),
    ]


if __name__ == '__main__':
    table.main(measure, __doc__)
