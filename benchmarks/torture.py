"""Kills, damages and attacks the commands of this project, and counts what was lost.

nothing -> one table, torture.json
Run: make torture (some ten minutes on 2 cores), or python benchmarks/torture.py --scale 0.1 for a quick look
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
import json
import logging
import math
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

import dataset  # noqa: F401  (imported once, for all forks)
import engine  # noqa: F401
import evaluation  # noqa: F401
import models  # noqa: F401
from benchmarks import fork, payloads
from benchmarks.toy_runs import BASES, FINAL, train_command, write_runs
from preprocess.files import write_json
from preprocess.pickles import CheckpointError, load_tensors

BALLAST_FLOATS = 1 << 22  # 16 MiB, so that saving takes a while
LOCKED = 'is training into this folder'
TOLERANCE = 1e-6  # of metrics: two processes sum in another order
LOSSES = ('unreadable', 'best_lost', 'nothing_to_go_on_from', 'other_weights', 'undetected', 'executed',
          'not_refused', 'different')  # fmt: skip


@HOOKS.register_module()
class SlowSavesHook(Hook):
    """Makes checkpoints large, and each epoch the best one, so that the previous best is replaced."""

    priority = 'VERY_HIGH'

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        checkpoint['ballast'] = torch.zeros(BALLAST_FLOATS)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        metrics['N_loss'] = -float(runner.epoch)


class Torture:
    """The trials, all in one folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.log = folder, folder / 'log.txt'
        self.rng = np.random.default_rng(seed)
        self.configs = write_runs(folder)
        self.environment = dict(XDG_CACHE_HOME=str(folder))

    def kills_while_saving(self, n: int) -> dict[str, int]:
        """Kill a run whenever a temporary file stands in its folder -> what could not be read then."""
        config, work_dir = self.folder / 'slow.py', self.folder / 'slow'
        text = "default_hooks = dict(slow=dict(type='SlowSavesHook'))\ntrain_cfg = dict(max_epochs=1000000)\n"
        config.write_text(f"_base_ = '{self.configs['supervised']}'\n{text}")
        loaders = [f'{split}_dataloader.num_workers=0' for split in ('train', 'val')]
        command = [
            'tools/train.py',
            str(config),
            '--work-dir',
            str(work_dir),
            '--resume',
            '--cfg-options',
            *loaders,
        ]
        found = dict(kills=0, files_checked=0, unreadable=0, best_lost=0, nothing_to_go_on_from=0)
        had_best = False
        for _ in range(n):
            self._kill_in_a_save(command, work_dir)
            files = [path for path in work_dir.glob('*.pth') if not path.name.startswith('.')]
            good = [path for path in files if readable(path)]
            best = [path for path in good if path.name.startswith('best')]
            pointer = work_dir / 'last_checkpoint'
            found['kills'] += 1
            found['files_checked'] += len(files)
            found['unreadable'] += len(files) - len(good)
            found['best_lost'] += had_best and not best
            found['nothing_to_go_on_from'] += pointer.exists() and Path(pointer.read_text()) not in good
            had_best = had_best or bool(best)
        return found

    def _kill_in_a_save(self, command: list[str], work_dir: Path) -> None:
        """Let some files be written, then stop the run in the middle of one, and kill it."""
        old, saves = set(work_dir.glob('.tmp-*')), int(self.rng.integers(1, 12))
        seen: set[Path] = set()
        pid = fork.start(command, self.log, **self.environment)
        while not fork.ended(pid):
            seen |= set(work_dir.glob('.tmp-*')) - old
            if len(seen) < saves:
                time.sleep(0.0005)
                continue
            time.sleep(self.rng.uniform(0, 0.02))
            os.kill(pid, signal.SIGSTOP)
            os.waitpid(pid, os.WUNTRACED)
            if set(work_dir.glob('.tmp-*')) - old:
                return fork.kill(pid)
            os.kill(pid, signal.SIGCONT)
        raise RuntimeError(f'the run ended by itself: {self.log.read_text()[-3000:]}')

    def kills_and_resumes(self, method: str, n: int) -> dict[str, int]:
        """Kill runs at random moments and resume them to their end -> how many ended with other weights."""
        found = dict(kills=0, runs=0, other_weights=0, waits_for_the_lock=0)
        started = time.monotonic()
        whole = self._finish(method, f'{method}_whole', found)
        span_s = time.monotonic() - started
        while found['kills'] < n:
            name = f'{method}_{found["runs"]}'
            while found['kills'] < n and self._killed(method, name, self.rng.uniform(0, 0.7 * span_s)):
                found['kills'] += 1
            found['runs'] += 1
            found['other_weights'] += not same_weights(whole, self._finish(method, name, found))
        return found

    def _killed(self, method: str, name: str, after_s: float) -> bool:
        """Start or go on with a run and kill it -> False if it was through before."""
        pid = fork.start(train_command(method, self.folder, name), self.log, **self.environment)
        end = time.monotonic() + after_s
        while time.monotonic() < end:
            if fork.ended(pid):
                code = fork.finish(pid)
                if LOCKED not in self.log.read_text():
                    self._need_success(code)
                    return False
                time.sleep(0.2)
                return self._killed(method, name, after_s)
            time.sleep(0.002)
        fork.kill(pid)
        return True

    def _finish(self, method: str, name: str, found: dict[str, int]) -> dict[str, Any]:
        """Run to the end -> the final checkpoint."""
        while True:
            code, output = fork.run(train_command(method, self.folder, name), self.log, **self.environment)
            if LOCKED not in output:
                self._need_success(code)
                return load_tensors(self.folder / name / FINAL.get(method, 'epoch_4.pth'))
            found['waits_for_the_lock'] += 1  # which workers of a killed run hold until they notice
            time.sleep(0.2)

    def _need_success(self, code: int) -> None:
        if code:
            raise RuntimeError(f'exit code {code}: {self.log.read_text()[-3000:]}')

    def bit_flips(self, n: int) -> dict[str, int]:
        """Flip single bits of a checkpoint -> how many files still load."""
        path = self.folder / 'supervised_whole/epoch_4.pth'
        size = path.stat().st_size
        found = dict(flips=0, undetected=0)
        with path.open('r+b', buffering=0) as file:
            for bit in self.rng.integers(0, 8 * size, n):
                byte = os.pread(file.fileno(), 1, bit // 8)
                os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << int(bit % 8)]), bit // 8)
                found['flips'] += 1
                found['undetected'] += readable(path)
                os.pwrite(file.fileno(), byte, bit // 8)
        assert readable(path)
        return found

    def attacks(self) -> dict[str, int]:
        """Give every payload to every command that reads its kind -> how many ran."""
        content = load_tensors(self.folder / 'supervised_whole/epoch_4.pth')
        checkpoint = self.folder / 'supervised_whole/epoch_4.pth'
        found = dict(kinds=0, commands=0, executed=0, not_refused=0)
        for kind in [*payloads.CHECKPOINT_KINDS, *payloads.OTHER_KINDS]:
            folder = self.folder / f'attack{found["kinds"]}'
            folder.mkdir()
            marker = folder / 'ran'
            name, write = payloads.OTHER_KINDS.get(kind) or ('evil.pth', payloads.CHECKPOINT_KINDS[kind])
            write(folder / name, marker, dict(content))
            for command in payloads.commands(kind, folder / name, self.configs['supervised'], checkpoint):
                code, output = fork.run(command, self.log, **self.environment)
                found['commands'] += 1
                page = folder / 'out/report.html'
                found['executed'] += marker.exists() or (page.exists() and '<script' in page.read_text())
                if kind not in payloads.HARMLESS and not (code == 2 and name in output):
                    found['not_refused'] += 1
                    logging.getLogger(__name__).error(
                        '%s: %s: code %d: %s', kind, command, code, output[-300:]
                    )
            found['kinds'] += 1
        return found

    def one_and_two_processes(self) -> dict[str, int]:
        """Test a checkpoint on one process and on two -> metrics that differ by more than 1e-6."""
        checkpoint = str(self.folder / 'supervised_whole/epoch_4.pth')
        command = ['tools/test.py', str(self.configs['supervised']), checkpoint, '--out-item', 'metrics']
        results = []
        for n in (1, 2):
            out = self.folder / f'metrics{n}.json'
            options = ['--out', str(out), '--work-dir', str(self.folder / 'test')]
            options += ['--launcher', 'pytorch'] if n > 1 else []
            meet = dict(
                WORLD_SIZE=str(n), MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port(), **self.environment
            )
            pids = [
                fork.start([*command, *options], self.log, RANK=str(rank), LOCAL_RANK=str(rank), **meet)
                for rank in range(n)
            ]
            self._need_success(max(fork.finish(pid) for pid in pids))
            results.append(json.loads(out.read_text()))
        one, two = results
        equal = [one[key] == two[key] or abs(one[key] - two[key]) <= TOLERANCE for key in one]
        return dict(metrics=len(equal), different=equal.count(False))


def readable(path: Path) -> bool:
    try:
        load_tensors(path)
    except CheckpointError:
        return False
    return True


def same_weights(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether all weights of two checkpoints have the same bits, those of the moving average too."""
    keys = [key for key in ('state_dict', 'ema_state_dict') if key in a]
    pairs = [(a[key], b[key]) for key in keys]
    return all(x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x) for x, y in pairs)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


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
    # mmengine lays out the text of the config anew for each checkpoint, most of the time of runs this small
    Config.pretty_text = property(lambda cfg: f'config = {cfg.to_dict()!r}')
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
