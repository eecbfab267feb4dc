"""Double cross-validation from cached maps against backbone passes in every epoch, projected.

CPU seconds of backbone, neck step and map, measured at published size -> seconds per image of the study
Command: OMP_NUM_THREADS=1 python benchmarks/bench_cache.py
With n images, F folds, E epochs, K views, shares t and v of training and validation images:
    uncached = n F E ((t + v) backbone + t step + v forward)
    cached   = n (K + 1) backbone + n F E ((t + v) read + t step + v forward)
Decoding and augmentation, which the uncached way repeats F E times, are left out: the ratio is a lower bound.
Both sides run the folded backbone.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import table
from benchmarks.bench_model import SIZE, build
from dataset.feature_cache import open_for_writing

FOLDS, EPOCHS, VIEWS = 25, 30, 16
TRAIN, VAL = 0.8 * 0.8, 0.8 * 0.2  # 5 outer folds, 5 inner
BATCH = 8


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median CPU seconds, after one run to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def measure() -> list[table.Row]:
    """One row: CPU seconds per image of the whole study."""
    model = build()
    images = torch.randn(1, 1, *SIZE).expand(-1, 3, -1, -1)
    with torch.no_grad():
        maps = model.maps_for_neck(images)
        backbone = seconds(lambda: model.maps_for_neck(images))
    model.neck.pooled = True
    batch = maps.repeat(BATCH, 1, 1, 1)

    def step() -> None:
        model.neck.train()((batch,))[0].square().mean().backward()

    def forward() -> None:
        with torch.no_grad():
            model.neck.eval()((batch,))

    with tempfile.TemporaryDirectory() as folder:
        names = dict(plain=[], views=['a'])
        cache = open_for_writing(Path(folder) / 'c', dict(num_views=1), names, {}, maps.shape[1:])
        cache.write('views', 'a', 0, maps[0].numpy())
        read = seconds(lambda: cache.read('views', 'a', 0))
        peak = table.peak_mib(step)
    learn = FOLDS * EPOCHS * (TRAIN * seconds(step) + VAL * seconds(forward)) / BATCH
    uncached = FOLDS * EPOCHS * (TRAIN + VAL) * backbone + learn
    cached = (VIEWS + 1) * backbone + FOLDS * EPOCHS * (TRAIN + VAL) * read + learn
    return [
        table.row('5 x 5 folds, 30 epochs, per image of the study (projected)', uncached, cached, 's', peak)
    ]


if __name__ == '__main__':
    table.main(measure, __doc__)
