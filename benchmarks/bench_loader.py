"""Lists of patches from a thousand to a million entries, and the ways to read them, in one run.

made patches (or --data-root) -> start-up in s, memory per worker, microseconds per entry; images per second
Command: python benchmarks/bench_loader.py
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset, MultiTaskDataset
from torch.utils.data import DataLoader, Subset

import models  # noqa: F401  (registers names, as a run does)
from dataset import MammoMultiTaskDataset, MammoPatchDataset
from engine.seed import seed_worker
from tools.pack_patches import pack

LENGTHS = (1_000, 240_000, 1_000_000)
N_FILES, N_READ, BATCH = 400, 400, 32  # images read per measurement; file system cache warm
VIEWS = [dict(type='RandomResizedCrop', scale=224), dict(type='RandomFlip', prob=0.5)]


def make_patches(folder: Path) -> None:
    """Noisy 512 x 512 patches, about as hard to decode as real ones."""
    rng = np.random.default_rng(0)
    for i in range(N_FILES):
        smooth = cv2.resize(rng.uniform(40, 200, (16, 16)), (512, 512), interpolation=cv2.INTER_CUBIC)
        image = (smooth + rng.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f'{i:06d}.png'), image)


def write_meta_file(path: Path) -> None:
    """A meta file of a million images, 180 MB."""
    with path.open('w') as file:
        file.write('{"metainfo": {"tasks": ["N", "tumor_size"]}, "data_list": [')
        for i in range(LENGTHS[-1]):
            who = dict(patient_id=f'P{i // 4:06d}', exam_id='1', exam_order=1, laterality='LR'[i % 2])
            labels = dict(N=i % 2, tumor_size=i % 997 / 1000)
            item = dict(img_path=f'png/P{i // 4:06d}_{i:07d}.png', view='CC', gt_label=labels, **who)
            file.write((', \n' if i else '') + json.dumps(item))
        file.write(']}')


def entries(kind: type, root: Path, ann_file: str, **arguments: Any) -> dict[str, Any]:
    """CPU time to load a list, and what a forked worker that has read all of it holds for itself alone."""
    start = time.process_time()
    data = kind(data_root=str(root), ann_file=ann_file, **arguments)
    startup_s = time.process_time() - start
    receiver, sender = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context('fork').Process(target=visit, args=(data, sender))
    worker.start()
    micros, private_mb = receiver.recv()
    worker.join()
    stage = f'{kind.__name__}, {len(data)} entries'
    return dict(stage=stage, startup_cpu_s=startup_s, entry_cpu_us=micros, worker_private_mb=private_mb)


def visit(data: Any, sender: Connection) -> None:
    """Look up every entry in random order -> microseconds per entry, private memory of this process in MB."""
    order = np.random.default_rng(0).permutation(len(data))
    look_up = getattr(data, 'get_data_info', None) or data.data_list.__getitem__
    start = time.process_time()
    for i in order:
        look_up(int(i))
    micros = (time.process_time() - start) / len(data) * 1e6
    fields = dict(line.split(':') for line in Path('/proc/self/smaps_rollup').read_text().split('\n')[1:-1])
    private_kb = sum(int(fields[f'Private_{kind}'].split()[0]) for kind in ('Clean', 'Dirty'))
    sender.send((micros, private_kb / 1024))


def throughput(root: Path, length: int, packed: bool = False, **loader: Any) -> dict[str, Any]:
    """Images per second of a loader, start of its workers included in neither way of reading."""
    backend = dict(backend='lmdb', db_path=str(root / 'patches.lmdb'))
    transforms = [dict(type='LoadMammogram', backend_args=backend if packed else None), *VIEWS]
    where = dict(data_root='' if packed else str(root), ann_file=str(root / f'{length}.txt'))
    data = MammoPatchDataset(pipeline=transforms, **where)
    order = np.random.default_rng(0).permutation(length)[: 2 * N_READ].tolist()
    batches = iter(
        DataLoader(
            Subset(data, order), BATCH, collate_fn=pseudo_collate, worker_init_fn=seed_worker, **loader
        )
    )
    for _ in range(N_READ // BATCH):  # workers start, file system cache warms
        next(batches)
    start = time.perf_counter()
    n_images = sum(len(batch['img']) for batch in batches)
    stage = f'{length} entries, {"LMDB" if packed else "files"}, {loader or "no workers"}'
    return dict(stage=stage, images_per_s=n_images / (time.perf_counter() - start))


def measure(root: Path) -> Iterator[dict[str, Any]]:
    """The rows of the table; ``root`` holds the patches."""
    names = [path.relative_to(root) for path in sorted(root.rglob('*.png'))]
    for length in LENGTHS:
        (root / f'{length}.txt').write_text(''.join(f'{names[i % len(names)]}\n' for i in range(length)))
    for kind in (CustomDataset, MammoPatchDataset):
        yield from (entries(kind, root, f'{n}.txt', with_label=False) for n in LENGTHS)
    yield from (throughput(root, length) for length in LENGTHS)
    for workers, prefetch in ((1, 2), (2, 1), (2, 2), (2, 8)):
        yield throughput(root, LENGTHS[1], num_workers=workers, prefetch_factor=prefetch)
    with suppress(ImportError):  # an optional package
        pack(root / f'{LENGTHS[0]}.txt', root / 'patches.lmdb')
        yield throughput(root, LENGTHS[0], packed=True)
    write_meta_file(root / 'meta.json')
    yield from (entries(kind, root, 'meta.json') for kind in (MultiTaskDataset, MammoMultiTaskDataset))


def main() -> list[dict[str, Any]]:
    """Measure and print one line per row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-root', type=Path, help='folder of patches to copy from (default: made ones)')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if args.data_root:
            for i, path in enumerate(sorted(args.data_root.rglob('*.png'))[:N_FILES]):
                (root / f'{i:06d}.png').write_bytes(path.read_bytes())
        else:
            make_patches(root)
        for row in measure(root):
            rows.append(row)
            values = ', '.join(f'{key} {value:.3g}' for key, value in row.items() if key != 'stage')
            print(f'{row["stage"]}: {values}', flush=True)
    return rows


if __name__ == '__main__':
    main()
