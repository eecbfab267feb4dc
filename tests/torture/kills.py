"""Kills of running commands: while they save, and at any moment.

Trial, number of kills -> counts of what was lost
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mammo.records.storage.pickles import load_tensors
from tests.torture import fork
from tests.torture.toy_runs import FINAL, train_command
from tests.torture.trial import Trial, readable

BALLAST_FLOATS = 1 << 22  # 16 MiB, so that saving takes a while
LOCKED = 'is training into this folder'


@HOOKS.register_module()
class SlowSavesHook(Hook):
    """Makes checkpoints large, and each epoch the best one, so that the previous best is replaced."""

    priority = 'VERY_HIGH'

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        checkpoint['ballast'] = torch.zeros(BALLAST_FLOATS)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        metrics['N_loss'] = -float(runner.epoch)


class Kills(Trial):
    """Kills of the commands that train."""

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
                    self.need_success(code)
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
                self.need_success(code)
                return load_tensors(self.folder / name / FINAL.get(method, 'epoch_4.pth'))
            found['waits_for_the_lock'] += 1  # which workers of a killed run hold until they notice
            time.sleep(0.2)


def same_weights(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether all weights of two checkpoints have the same bits, those of the moving average too."""
    keys = [key for key in ('state_dict', 'ema_state_dict') if key in a]
    pairs = [(a[key], b[key]) for key in keys]
    return all(x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x) for x, y in pairs)
