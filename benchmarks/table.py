"""What the benchmarks share: clocks, peak memory, and the one form of their rows.

stock and ours, as functions -> rows dict(stage, stock, ours, unit, ratio, spread, limit, ...), a table
"""

import argparse
import ctypes
import os
import re
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from benchmarks import limits
from mammo.records.storage.files import write_json

Row = dict[str, Any]
Work = Callable[[], object]
COLUMNS = (
    'stage',
    'stock',
    'ours',
    'unit',
    'ratio',
    'spread',
    'limit',
    'of_limit',
    'peak_mib',
    'target',
    'met',
)
PER_SECOND = dict(s=1.0, ms=1e3, us=1e6)  # units of time whose rows can have a limit


class Pair(NamedTuple):
    """Median amounts of stock and of ours, and how their ratio spread over the turns."""

    stock: float
    ours: float
    spread: tuple[float, float]  # lowest and highest stock / ours of one turn

    @classmethod
    def of(cls, turns: Any) -> 'Pair':
        """Turns (n, 2): stock, ours."""
        stock, ours = np.median(turns, axis=0).tolist()
        ratios = np.divide(*np.asarray(turns, float).T)
        return cls(stock, ours, (float(ratios.min()), float(ratios.max())))

    def times(self, stock: float, ours: float | None = None) -> 'Pair':
        """In other units: both by one factor, or each by its own."""
        ours = stock if ours is None else ours
        low, high = (each * stock / ours for each in self.spread)
        return Pair(self.stock * stock, self.ours * ours, (low, high))


def interleaved(
    stock: Work, ours: Work, repeats: int = 5, clock: Callable[[], float] = time.process_time
) -> Pair:
    """Seconds of stock and of ours, run in turns so that a busy machine slows both.

    The default clock counts CPU time: with one thread, what an idle machine takes by the wall clock.
    """
    seconds = np.empty((repeats, 2))
    for repeat in seconds:
        for column, work in enumerate((stock, ours)):
            start = clock()
            work()
            repeat[column] = clock() - start
    return Pair.of(seconds)


def peak_mib(work: Work) -> float:
    """MiB by which a fresh fork of this process grows at most while it does ``work`` (Linux, glibc).

    Threads do not survive a fork: call it before those of autograd on a GPU have started. Where torch has
    several threads, this process does the work.
    """
    if torch.get_num_threads() > 1:
        return _growth_mib(work)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(sender, str(_growth_mib(work)).encode())
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(sender)
    with os.fdopen(receiver) as file:
        grown = file.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError('the process that measures peak memory failed, see above')
    return float(grown)


def run_apart(command: list[str]) -> tuple[float, float]:
    """Run a command and those that it starts -> their CPU seconds, MiB of the largest of them.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    with tempfile.TemporaryFile('w+') as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f'{" ".join(command)}: exit code {process.returncode}\n{log.read()[-2000:]}')
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024  # KiB on Linux


def row(
    stage: str,
    stock: float | None,
    ours: float,
    unit: str,
    peak_mib: float | None,
    *,
    spread: tuple[float, float] | None = None,
    needs: dict[str, float] | None = None,
    least_ratio: float | None = None,
    most: float | None = None,
    most_mib: float | None = None,
    most_of_limit: float | None = None,
) -> Row:
    """One line of the table; ``ratio`` says how many times ours is better, whatever the unit.

    ``needs`` is how much of each limit of the machine (see limits.py) the work takes at least. A target is
    a ratio to reach, or a bound on ours, on the memory, or on ours in multiples of that limit (judged by
    :func:`with_limits`); ``met`` is None without one.
    """
    if most_of_limit is not None and not needs:
        raise ValueError(f'{stage}: a target in multiples of the limit, and nothing that the work needs')
    ratio = None if stock is None else ours / stock if unit.endswith('/s') else stock / ours
    targets = []
    if least_ratio is not None:
        targets.append((f'ratio >= {least_ratio:g}', ratio is not None and ratio >= least_ratio))
    if most is not None:
        targets.append((f'<= {most:g} {unit}'.rstrip(), ours <= most))
    if most_mib is not None:
        targets.append((f'<= {most_mib:g} MiB', peak_mib is not None and peak_mib <= most_mib))
    met = all(reached for _, reached in targets) if targets else None
    told = dict(peak_mib=peak_mib, target=', '.join(text for text, _ in targets), met=met)
    told |= dict(needs=needs, most_of_limit=most_of_limit)
    return dict(stage=stage, stock=stock, ours=ours, unit=unit, ratio=ratio, spread=spread, **told)


def compared(stage: str, pair: Pair, unit: str, peak_mib: float | None, **more: Any) -> Row:
    """The row of stock and ours that ran in turns."""
    return row(stage, pair.stock, pair.ours, unit, peak_mib, spread=pair.spread, **more)


def with_limits(rows: list[Row], rates: dict[str, float]) -> list[Row]:
    """``limit``: least time of the work on this machine, of which ours takes ``of_limit`` times as much."""
    return [line | _limit(line, rates) for line in rows]


def _limit(line: Row, rates: dict[str, float]) -> Row:
    if not line.get('needs'):
        return {}
    limit = PER_SECOND[line['unit']] * sum(amount / rates[name] for name, amount in line['needs'].items())
    of_limit, most = line['ours'] / limit, line.get('most_of_limit')
    if most is None:
        return dict(limit=limit, of_limit=of_limit)
    target = ', '.join(text for text in (line['target'], f'<= {most:g} of the limit') if text)
    return dict(
        limit=limit, of_limit=of_limit, target=target, met=line['met'] is not False and of_limit <= most
    )


def as_text(rows: list[Row], more: tuple[str, ...] = ()) -> str:
    """Rows as a Markdown table, with further columns if rows have them."""
    columns = COLUMNS + more
    lines = [f'| {" | ".join(columns)} |', '|' + '---|' * len(columns)]
    lines += [f'| {" | ".join(_cell(line.get(column)) for column in columns)} |' for line in rows]
    return '\n'.join(lines)


def notes_as_text(rows: list[Row]) -> str:
    """What rows say beside the table, how many targets are met, and which are not."""
    aimed = [line for line in rows if line['met'] is not None]
    missed = [line for line in aimed if not line['met']]
    lines = [f'{line["stage"]}: {line["note"]}' for line in rows if line.get('note')]
    lines += [f'targets met: {len(aimed) - len(missed)} of {len(aimed)}'] if aimed else []
    return '\n'.join(lines + [f'not met: {line["stage"]}: {line["target"]}' for line in missed])


def main(measure: Callable[[], list[Row]], doc: str) -> None:
    """Command line of one benchmark: measure on one thread, print the table, write it as JSON."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument('--out', type=Path, help='write the rows to this JSON file')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = with_limits(measure(), limits.rates(limits.measure()))
    if args.out:
        write_json(args.out, rows)
    print(as_text(rows))
    print(notes_as_text(rows))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, tuple | list):
        return ' to '.join(map(_cell, value))
    if isinstance(value, float):
        return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'
    return str(value or '')


def _growth_mib(work: Work) -> float:
    ctypes.CDLL(None).malloc_trim(0)  # hands back what was freed before, which would be used again unseen
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew, proc(5)
    before = _status_kib('VmRSS')
    work()
    return (_status_kib('VmHWM') - before) / 1024


def _status_kib(field: str) -> int:
    found = re.search(rf'{field}:\s+(\d+) kB', Path('/proc/self/status').read_text())
    assert found is not None
    return int(found[1])
