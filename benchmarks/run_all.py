"""All benchmarks, each in a process of its own on one thread, as one table.

benchmarks/bench_*.py with measure() -> limits of the machine; stock, ours, ratio, limit, memory, target
Command: make bench, or OMP_NUM_THREADS=1 python benchmarks/run_all.py [NAME ...]
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cv2
import torch

from benchmarks import limits, table
from mammo.records.storage.files import write_json

MORE = ('stock_peak_mib',)
NAMES = sorted(path.stem.removeprefix('bench_') for path in Path(__file__).parent.glob('bench_*.py'))


def measure_here(name: str) -> list[table.Row]:
    """Rows of one benchmark, measured in this process."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return importlib.import_module(f'benchmarks.bench_{name}').measure()


def measure_apart(name: str, out: Path) -> list[table.Row]:
    """Rows of one benchmark, measured in another process; none if it fails, which it says itself."""
    command = [sys.executable, __file__, name, '--here', '--out', str(out)]
    environment = os.environ | dict(OMP_NUM_THREADS='1')
    done = subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)
    return json.loads(out.read_text()) if done.returncode == 0 else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(NAMES)}; default: all')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmarks.json'))
    parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = set(args.names) - set(NAMES)
    if unknown:
        parser.error(f'no benchmark is called {", ".join(sorted(unknown))}; there are {", ".join(NAMES)}')
    names = args.names or [name for name in NAMES if name != 'gpu' or torch.cuda.is_available()]
    if args.here:
        return write_json(args.out, measure_here(names[0]))
    rows, failed, seconds = [], [], {}
    before = limits.measure()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            start = time.monotonic()
            found = measure_apart(name, Path(folder) / f'{name}.json')
            rows += [dict(benchmark=name, **row) for row in found]
            failed += [] if found else [name]
            seconds[name] = round(time.monotonic() - start)
            print(f'{name}: {seconds[name]} s', file=sys.stderr)
    after = limits.measure()
    rows = table.with_limits(rows, limits.rates(before, after))
    versions = dict(torch=torch.__version__, opencv=cv2.__version__)
    around = dict(limits_before=before, limits_after=after)
    write_json(
        args.out, dict(format_version=1, **versions, **around, seconds=seconds, failed=failed, rows=rows)
    )
    print(limits.as_text(before, after))
    print()
    print(table.as_text(rows, MORE))
    print(table.notes_as_text(rows))
    if failed:
        sys.exit(f'{", ".join(failed)}: no result, see the messages above')


if __name__ == '__main__':
    main()
