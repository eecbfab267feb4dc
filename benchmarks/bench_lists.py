"""Lists of a million patches, and of a million images with labels: the stock classes against ours.

made lists -> CPU time of the start and of one entry, memory that each worker holds for itself alone
Command: OMP_NUM_THREADS=1 python benchmarks/bench_lists.py
"""

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset, MultiTaskDataset

from benchmarks import table
from dataset import MammoMultiTaskDataset, MammoPatchDataset

LENGTH = 1_000_000
MOST_S, MOST_MIB = 10, 500


def write_list(path: Path) -> None:
    """A list of patches, as tools/extract_patches.py names them."""
    path.write_text(''.join(f'patches/P{i // 40:05d}_{i % 40:04d}.png\n' for i in range(LENGTH)))


def write_meta_file(path: Path) -> None:
    """A meta file of a million images, 180 MB."""
    with path.open('w') as file:
        file.write('{"metainfo": {"tasks": ["N", "tumor_size"]}, "data_list": [')
        for i in range(LENGTH):
            who = dict(patient_id=f'P{i // 4:06d}', exam_id='1', exam_order=1, laterality='LR'[i % 2])
            labels = dict(N=i % 2, tumor_size=i % 997 / 1000)
            item = dict(img_path=f'png/P{i // 4:06d}_{i:07d}.png', view='CC', gt_label=labels, **who)
            file.write((', \n' if i else '') + json.dumps(item))
        file.write(']}')


def entries(kind: type, root: Path, ann_file: str, **arguments: Any) -> dict[str, float]:
    """CPU time to load a list and to look up an entry; what a forked worker that has read all of it holds."""
    start = time.process_time()
    data = kind(data_root=str(root), ann_file=ann_file, **arguments)
    startup_s = time.process_time() - start
    assert len(data) == LENGTH
    receiver, sender = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context('fork').Process(target=visit, args=(data, sender))
    worker.start()
    micros, private_mib = receiver.recv()
    worker.join()
    return dict(startup_cpu_s=startup_s, entry_cpu_us=micros, worker_private_mib=private_mib)


def visit(data: Any, sender: Connection) -> None:
    """Look up every entry in random order -> microseconds per entry, MiB that this process alone holds."""
    order = np.random.default_rng(0).permutation(len(data))
    look_up = getattr(data, 'get_data_info', None) or data.data_list.__getitem__
    start = time.process_time()
    for i in order:
        look_up(int(i))
    micros = (time.process_time() - start) / len(data) * 1e6
    fields = dict(line.split(':') for line in Path('/proc/self/smaps_rollup').read_text().split('\n')[1:-1])
    private_kib = sum(int(fields[f'Private_{kind}'].split()[0]) for kind in ('Clean', 'Dirty'))
    sender.send((micros, private_kib / 1024))


def rows(what: str, stock: dict[str, float], ours: dict[str, float]) -> Iterator[table.Row]:
    """Two rows of one list."""
    seconds, micros, (stock_mib, mib) = (
        (stock[key], ours[key]) for key in ('startup_cpu_s', 'entry_cpu_us', 'worker_private_mib')
    )
    line = table.row(
        f'list of {LENGTH:,} {what}, start-up, memory per worker', *seconds, 's', mib,
        most=MOST_S, most_mib=MOST_MIB,
    )  # fmt: skip
    yield line | dict(stock_peak_mib=stock_mib)
    yield table.row(f'list of {LENGTH:,} {what}, one entry', *micros, 'us', None)


def measure() -> list[table.Row]:
    """Both kinds of list."""
    init_default_scope('mammo')
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_list(root / 'list.txt')
        write_meta_file(root / 'meta.json')
        patches = partial(entries, root=root, ann_file='list.txt', with_label=False)
        images = partial(entries, root=root, ann_file='meta.json')
        return [
            *rows('patches', patches(CustomDataset), patches(MammoPatchDataset)),
            *rows('images with labels', images(MultiTaskDataset), images(MammoMultiTaskDataset)),
        ]


if __name__ == '__main__':
    table.main(measure, __doc__)
