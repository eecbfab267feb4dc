"""Kills, damages and attacks the commands of this project, and counts what was lost.

nothing -> one table, torture.json
Run: make torture (some ten minutes on 2 cores), or python tests/torture/run_all.py --scale 0.1
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import argparse
import math
import tempfile
import time
from collections.abc import Iterator

import torch

import dataset  # noqa: F401  (imported once, for all forks)
import mammo.engine  # noqa: F401
import models  # noqa: F401
from mammo.records.storage.files import write_json
from tests.torture.damage import Damage
from tests.torture.kills import Kills
from tests.torture.toy_runs import BASES

LOSSES = ('unreadable', 'best_lost', 'nothing_to_go_on_from', 'other_weights', 'undetected', 'executed',
          'not_refused', 'different')  # fmt: skip


class Torture(Kills, Damage):
    """All trials."""


def trials(torture: Torture, scale: float) -> Iterator[tuple[str, dict[str, int]]]:
    """All trials, one after the other -> name, counts."""
    methods = [*BASES, 'mlp']
    kills = math.ceil(50 * scale / len(methods))
    yield 'random kills and resumes, supervised', torture.kills_and_resumes('supervised', kills)
    yield 'single flipped bits', torture.bit_flips(math.ceil(1000 * scale))
    yield 'malicious files', torture.attacks()
    yield 'metrics on 1 and 2 processes', torture.one_and_two_processes()
    for method in methods[1:]:
        yield f'random kills and resumes, {method}', torture.kills_and_resumes(method, kills)
    yield 'kills while saving', torture.kills_while_saving(math.ceil(100 * scale))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('work_dirs/torture.json'))
    parser.add_argument(
        '--scale', type=float, default=1.0, help='share of the full numbers of kills and flips'
    )
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results, lost = {}, 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='torture') as folder:
        for name, counts in trials(Torture(Path(folder), args.seed), args.scale):
            results[name] = counts
            lost += sum(value for key, value in counts.items() if key in LOSSES)
            counts['seconds'] = round(time.monotonic() - started)
            print(f'{name:<40}', ', '.join(f'{key} {value}' for key, value in counts.items()), flush=True)
    write_json(args.out, dict(seed=args.seed, scale=args.scale, lost=lost, trials=results))
    print(f'lost in all: {lost} ({args.out})')
    sys.exit(int(lost > 0))


if __name__ == '__main__':
    main()
