"""What this machine can do at most on one thread, measured beside what is timed.

nothing -> dict(machine, limits): of each limit the median, and the lowest and highest of some repeats
"""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

REPEATS = 7
SIZE = 2048  # of the matrices: 17 GFLOP per product
COPIED_MIB = 256  # beyond any cache
FILM = (4096, 3328)  # height, width of a PNG
FLOAT32, BFLOAT16 = 'matrix products, float32, GFLOP/s', 'matrix products, bfloat16, GFLOP/s'
MEMORY, DECODED = 'memory, read and written, GB/s', 'PNG decoded by OpenCV, Mpixel/s'


def machine() -> str:
    """Processor, number of its cores, memory."""
    lines = Path('/proc/cpuinfo').read_text().splitlines() if Path('/proc/cpuinfo').exists() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    gib = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    return f'{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {gib:.0f} GiB'


def measure() -> dict[str, Any]:
    """Matrix products, memory bandwidth and decoding, each on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        return dict(machine=machine(), limits={name: _rates(*work) for name, work in _works().items()})
    finally:
        torch.set_num_threads(threads)


def rates(*measured: dict[str, Any]) -> dict[str, float]:
    """The mean of each limit over several measurements."""
    each = [found['limits'] for found in measured]
    return {name: float(np.mean([limits[name]['median'] for limits in each])) for name in each[0]}


def as_text(before: dict[str, Any], after: dict[str, Any]) -> str:
    """A Markdown table of the limits before and after the benchmarks: load makes them differ."""
    lines = [
        f'{before["machine"]}\n',
        '| limit, one thread | before | after | lowest to highest |',
        '|---|---:|---:|---|',
    ]
    for name, first in before['limits'].items():
        last = after['limits'][name]
        ends = f'{min(first["low"], last["low"]):.3g} to {max(first["high"], last["high"]):.3g}'
        lines.append(f'| {name} | {first["median"]:.3g} | {last["median"]:.3g} | {ends} |')
    return '\n'.join(lines)


def _works() -> dict[str, tuple[Callable[[], object], float]]:
    """By name and unit: the work, and how much of the unit it is."""
    a = torch.rand(SIZE, SIZE)
    b = a.bfloat16()
    words = np.ones(COPIED_MIB * 2**17)  # 8 bytes each
    target = np.empty_like(words)
    film = np.random.default_rng(0).normal(100, 4, FILM).clip(0, 255).astype(np.uint8)
    png = cv2.imencode('.png', film)[1]
    gflop = 2 * SIZE**3 / 1e9
    return {
        FLOAT32: (lambda: a @ a, gflop),
        BFLOAT16: (lambda: b @ b, gflop),
        MEMORY: (lambda: np.copyto(target, words), 2 * words.nbytes / 1e9),
        DECODED: (lambda: cv2.imdecode(png, cv2.IMREAD_GRAYSCALE), film.size / 1e6),
    }


def _rates(work: Callable[[], object], amount: float) -> dict[str, float]:
    """Rates by CPU time, as the benchmarks count; the first call is not counted."""
    work()
    rates = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        rates.append(amount / (time.process_time() - start))
    return dict(median=float(np.median(rates)), low=min(rates), high=max(rates))
