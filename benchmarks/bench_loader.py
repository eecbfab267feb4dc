"""Ways to read patches: long lists, several workers, order of the files.

made patches (or --data-root) -> CPU time per image, images per second
Command: OMP_NUM_THREADS=1 python benchmarks/bench_loader.py [--data-root DIR] [--drop-caches]
What stands in the column of stock is named after "against". Images per second on several workers are by the
wall clock, and so need an idle machine, as do those from the drive (--drop-caches, as root), where the system
has forgotten the files. Pinned memory matters on a GPU only, see bench_gpu.py.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader, Subset

import models  # noqa: F401  (registers names, as a run does)
from benchmarks import table
from dataset import MammoPatchDataset
from mammo.engine.seed import seed_worker

LENGTHS = (1_000, 240_000)
N_FILES, N_READ, BATCH = 2_000, 400, 32  # patches; images per measurement; per batch
TWO_VIEWS = Config.fromfile(ROOT / 'configs/_base_/data/patches_224.py').train_pipeline[1:]
AS_THEY_ARE = [dict(type='PackInputs')]
WORKERS = ((1, 2), (2, 1), (2, 2), (2, 8))  # number, batches that each prepares ahead


def make_patches(folder: Path) -> None:
    """Noisy 512 x 512 patches, about as hard to decode as real ones."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, (512, 512))
    for i in range(N_FILES):
        smooth = cv2.resize(rng.uniform(40, 200, (16, 16)), (512, 512), interpolation=cv2.INTER_CUBIC)
        image = (smooth + np.roll(noise, i, 1)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f'{i:06d}.png'), image)


def write_lists(root: Path) -> int:
    """Lists of LENGTHS, of the patches again and again, and ``all.txt`` -> number of patches."""
    names = sorted(path.name for path in root.glob('*.png'))
    for length in LENGTHS:
        (root / f'{length}.txt').write_text(''.join(f'{names[i % len(names)]}\n' for i in range(length)))
    (root / 'all.txt').write_text(''.join(f'{name}\n' for name in names))
    return len(names)


def loader(root: Path, ann_file: str, order: list[int], steps: list[dict], **arguments: Any) -> DataLoader:
    """Batches of these entries of a list, after these steps."""
    pipeline = [dict(type='LoadMammogram'), *steps]
    data = MammoPatchDataset(data_root=str(root), ann_file=str(root / ann_file), pipeline=pipeline)
    return DataLoader(
        Subset(data, order), BATCH, collate_fn=default_collate, worker_init_fn=seed_worker, **arguments
    )


def at_random(length: int, n_images: int = N_READ) -> list[int]:
    return np.random.default_rng(0).permutation(length)[:n_images].tolist()


def read(batches: DataLoader, drop_caches: bool = False) -> Callable[[], float]:
    """Work that reads all batches -> its wall-clock seconds, from the first batch on."""

    def work() -> float:
        if drop_caches:
            os.sync()
            Path('/proc/sys/vm/drop_caches').write_text('3')
        np.random.seed(0)
        start = time.perf_counter()
        for _ in batches:
            pass
        return time.perf_counter() - start

    return work


def length_row(root: Path, n_files: int) -> table.Row:
    """CPU time per image of the longest list against the shortest; the files are the same ones."""
    order = np.array(at_random(min(n_files, LENGTHS[0])))
    repeat = np.random.default_rng(1).integers(LENGTHS[1] // n_files, size=len(order))
    orders = (order, order + n_files * repeat)
    short, long = (
        read(loader(root, f'{n}.txt', o.tolist(), TWO_VIEWS)) for n, o in zip(LENGTHS, orders, strict=True)
    )
    peak = table.peak_mib(long)
    short()
    pair = table.interleaved(short, long).times(1000 / len(order))
    stage = f'two views of a patch, list of {LENGTHS[1]:,} against {LENGTHS[0]:,}'
    return table.compared(stage, pair, 'ms', peak, least_ratio=0.95)


def order_row(root: Path, n_files: int, drop_caches: bool) -> table.Row:
    """All patches in the order of the list against at random."""
    mixed = at_random(n_files, n_files)
    files, ordered = (
        read(loader(root, 'all.txt', order, AS_THEY_ARE), drop_caches) for order in (mixed, sorted(mixed))
    )
    files()
    where, clock = ('the drive', time.perf_counter) if drop_caches else ('memory', time.process_time)
    pair = table.interleaved(files, ordered, 3, clock).times(1000 / n_files)
    stage = f'{n_files:,} patches from {where}, files in order against at random'
    return table.compared(stage, pair, 'ms', None)


def worker_rows(root: Path) -> Iterator[table.Row]:
    """Images per second of several workers, their start included, against none."""
    images = (root, f'{LENGTHS[1]}.txt', at_random(LENGTHS[1], 2 * N_READ), TWO_VIEWS)
    alone = 2 * N_READ / read(loader(*images))()
    for workers, prefetch in WORKERS:
        batches = loader(*images, num_workers=workers, prefetch_factor=prefetch)
        stage = f'two views, {workers} workers with {prefetch} batches ahead of each, against none'
        yield table.row(stage, alone, 2 * N_READ / read(batches)(), 'images/s', None)


def measure(data_root: Path | None = None, drop_caches: bool = False) -> list[table.Row]:
    """All rows; patches of ``data_root`` or made ones."""
    init_default_scope('mammo')
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if data_root:
            for i, path in enumerate(sorted(data_root.rglob('*.png'))[:N_FILES]):
                (root / f'{i:06d}.png').write_bytes(path.read_bytes())
        else:
            make_patches(root)
        n_files = write_lists(root)
        return [length_row(root, n_files), order_row(root, n_files, drop_caches), *worker_rows(root)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-root', type=Path, help='folder of patches to copy from (default: made ones)')
    parser.add_argument('--drop-caches', action='store_true', help='read from the drive; needs root')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(table.as_text(measure(args.data_root, args.drop_caches)))


if __name__ == '__main__':
    main()
