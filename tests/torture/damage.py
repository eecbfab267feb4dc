"""Damaged and malicious files, and the same test on one process and on two.

Trial -> counts of what went unnoticed
"""

import json
import logging
import os
import socket

from mammo.records.storage.pickles import load_tensors
from tests.torture import fork, payloads
from tests.torture.trial import WHOLE, Trial, readable

TOLERANCE = 1e-6  # of metrics: two processes sum in another order


class Damage(Trial):
    """Trials with the files of a finished run."""

    def bit_flips(self, n: int) -> dict[str, int]:
        """Flip single bits of a checkpoint -> how many files still load."""
        path = self.folder / WHOLE
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
        content = load_tensors(self.folder / WHOLE)
        checkpoint = self.folder / WHOLE
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
        checkpoint = str(self.folder / WHOLE)
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
            self.need_success(max(fork.finish(pid) for pid in pids))
            results.append(json.loads(out.read_text()))
        one, two = results
        equal = [one[key] == two[key] or abs(one[key] - two[key]) <= TOLERANCE for key in one]
        return dict(metrics=len(equal), different=equal.count(False))


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])
