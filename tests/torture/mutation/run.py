"""How many faults in what computes numbers a test notices: one fault at a time, with the tests of its module.

modules of [tool.mutation] in pyproject.toml -> mutants/*.json, a table, each fault that stayed unnoticed
Run: make mutate (an hour), or python tests/torture/mutation/run.py mammo/patients.py; run again it goes on
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import argparse
import hashlib
import json
import subprocess
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mammo.records.storage.files import write_json

FOLDER = Path('mutants')
SEEN = ('noticed', 'stopped')


def record_of(module: str) -> Path:
    return FOLDER / f'{module.replace("/", ".").removesuffix(".py")}.json'


def digest(paths: list[Path]) -> str:
    return hashlib.sha256(b''.join(path.read_bytes() for path in paths)).hexdigest()


def begun(module: str, tests: list[str]) -> dict[str, Any]:
    """What is known of a module: nothing of another text of it, what was noticed if only tests changed."""
    files = [path for name in tests for path in (sorted(Path(name).rglob('*.py')) or [Path(name)])]
    record = dict(module=module, source=digest([Path(module)]), tests=digest(files), faults={})
    path = record_of(module)
    before = json.loads(path.read_text()) if path.exists() else record
    if before['source'] == record['source']:
        same = before['tests'] == record['tests']
        record['faults'] = {k: v for k, v in before['faults'].items() if same or v['became'] in SEEN}
    return record


def try_module(module: str, tests: list[str], most: int, seed: int) -> None:
    """In this process, which imports the faulty module."""
    from tests.torture.mutation.faulty import Faults
    from tests.torture.mutation.trials import Trials

    faults, record = Faults(Path(module)), begun(module, tests)
    sample = faults.sample(most, seed)
    record['n_faults'] = len(faults.mutated.mutant_names)
    record['faults'] = {name: record['faults'][name] for name in sample if name in record['faults']}

    def report(name: str, became: str) -> None:
        record['faults'][name] = dict(became=became, change=faults.change(name))
        write_json(record_of(module), record)

    names = [name for name in sample if name not in record['faults']]
    if names:
        Trials(faults, names, report).run(tests)


def row(record: dict[str, Any]) -> str:
    from mammo.evaluation.statistics import proportion  # not above: it may be the module that gets faults

    counts = Counter(fault['became'] for fault in record['faults'].values())
    seen, total = sum(counts[word] for word in SEEN), counts.total()
    share = proportion(seen, total)
    interval = f'{share["value"]:.0%} ({share["ci_low"]:.0%} to {share["ci_high"]:.0%})'
    return f'| `{record["module"]}` | {record["n_faults"]} | {total} | {seen} | {interval} |'


def tell(modules: list[str]) -> None:
    records = [json.loads(record_of(name).read_text()) for name in modules if record_of(name).exists()]
    for record in records:
        for name, fault in record['faults'].items():
            if fault['became'] not in SEEN:
                print(f'{record["module"]} {name} {fault["became"]}', *fault['change'], sep='\n    ')
    print('| module | faults | tried | noticed | share (95 % interval) |\n|---|---:|---:|---:|---:|')
    print(*map(row, records), sep='\n')


def main() -> None:
    listed = tomllib.loads(Path('pyproject.toml').read_text())['tool']['mutation']
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('modules', nargs='*', default=list(listed), help='(default: all of pyproject.toml)')
    parser.add_argument('--most', type=int, default=80, help='faults per module, drawn at random')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--jobs', type=int, default=2, help='modules at once')
    parser.add_argument('--inside', action='store_true', help='try the one module in this process')
    args = parser.parse_args()
    if args.inside:
        return try_module(args.modules[0], listed[args.modules[0]], args.most, args.seed)

    def one(module: str) -> None:
        options = ['--inside', f'--most={args.most}', f'--seed={args.seed}']
        with record_of(module).with_suffix('.log').open('w') as log:
            subprocess.run([sys.executable, __file__, module, *options], stdout=log, stderr=log)

    FOLDER.mkdir(exist_ok=True)
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(one, args.modules))
    tell(args.modules)


if __name__ == '__main__':
    main()
