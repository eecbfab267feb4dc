"""What the benchmarks share: clocks, peak memory, and the one form of their rows.

stock and ours, as functions -> rows dict(stage, stock, ours, unit, ratio, peak_mib), a table, JSON
"""

import argparse
import ctypes
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from preprocess.files import write_json

Row = dict[str, Any]
Work = Callable[[], object]
COLUMNS = ('stage', 'stock', 'ours', 'unit', 'ratio', 'peak_mib')


def interleaved(
    stock: Work, ours: Work, repeats: int = 5, clock: Callable[[], float] = time.process_time
) -> tuple[float, float]:
    """Median seconds of stock and of ours, run in turns so that a busy machine slows both.

    The default clock counts CPU time: with one thread, what an idle machine takes by the wall clock.
    """
    seconds = np.empty((repeats, 2))
    for repeat in seconds:
        for column, work in enumerate((stock, ours)):
            start = clock()
            work()
            repeat[column] = clock() - start
    medians = np.median(seconds, axis=0)
    return float(medians[0]), float(medians[1])


def peak_mib(work: Work) -> float:
    """MiB by which the memory of this process grows at most while ``work`` runs (Linux, glibc)."""
    ctypes.CDLL(None).malloc_trim(0)  # hands back what was freed before, which would be used again unseen
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew, proc(5)
    before = _status_kib('VmRSS')
    work()
    return (_status_kib('VmHWM') - before) / 1024


def row(stage: str, stock: float | None, ours: float, unit: str, peak_mib: float | None) -> Row:
    """One line of the table; ``ratio`` says how many times ours is better, whatever the unit."""
    ratio = None if stock is None else ours / stock if unit.endswith('/s') else stock / ours
    return dict(stage=stage, stock=stock, ours=ours, unit=unit, ratio=ratio, peak_mib=peak_mib)


def as_text(rows: list[Row], more: tuple[str, ...] = ()) -> str:
    """Rows as a Markdown table, with further columns if rows have them."""
    columns = COLUMNS + more
    lines = [f'| {" | ".join(columns)} |', '|---|---:|---:|---|' + '---:|' * (len(columns) - 4)]
    for line in rows:
        cells = (
            f'{line[c]:.3g}' if isinstance(line.get(c), float) else str(line.get(c) or '') for c in columns
        )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def main(measure: Callable[[], list[Row]], doc: str) -> None:
    """Command line of one benchmark: measure on one thread, print the table, write it as JSON."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument('--out', type=Path, help='write the rows to this JSON file')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = measure()
    if args.out:
        write_json(args.out, rows)
    print(as_text(rows))


def _status_kib(field: str) -> int:
    found = re.search(rf'{field}:\s+(\d+) kB', Path('/proc/self/status').read_text())
    assert found is not None
    return int(found[1])
