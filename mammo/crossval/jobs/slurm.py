"""Folds as one SLURM job array; an array that is still there from an earlier run is waited for.

specs, options of sbatch -> job id in DIR/slurm/, state from squeue
"""

import logging
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from mammo.crossval.jobs.job import ROOT, SPEC
from mammo.crossval.jobs.state import STATE, finished, read_json
from mammo.errors import DataError
from mammo.records.storage.files import write_json, write_text

logger = logging.getLogger(__name__)
SCRIPT = """#!/usr/bin/env bash
# One fold of a cross-validation; the array index is the line of folds.txt, from 0.
cd {cwd} || exit 1
export PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}
exec {python} -m {task} "$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {folds})"
"""
NAME = 'cross_validate'
TASK = 'mammo.crossval.jobs.job'
JOB = 'job.json'
SUBMISSIONS = 2  # a fold whose node died gets a second one
IMPOSSIBLE = ('PartitionConfig', 'PartitionTimeLimit', 'BadConstraints')  # reasons that no waiting ends


class SlurmEngine:
    """Submits what is not finished, and polls ``squeue`` until nothing is left."""

    def __init__(
        self,
        specs: Sequence[dict[str, Any]],
        folder: Path,
        limit: int | None,
        options: str,
        poll_s: float = 10,
    ) -> None:
        self.specs, self.folder, self.poll_s = specs, folder, poll_s
        self.limit = f'%{limit}' if limit else ''
        self.options = shlex.split(options)
        self._asked_s, self._submissions = 0.0, 0
        for spec in specs:
            write_json(Path(spec['folder']) / SPEC, spec)
        self.job: str | None = read_json(folder / JOB).get('job')
        if self.job:
            logger.info('waiting for SLURM job %s of an earlier run', self.job)

    def running(self) -> bool:
        """Ask at most every ``poll_s`` seconds; submit what nobody works on."""
        if time.monotonic() - self._asked_s < self.poll_s:
            return True
        self._asked_s = time.monotonic()
        queued = _queued(self.job) if self.job else ''
        if any(reason in queued for reason in IMPOSSIBLE):
            self._withdraw(queued)
        if queued:
            return True
        self.job = None
        (self.folder / JOB).unlink(missing_ok=True)  # SLURM gives its number to another job one day
        lost = [i for i, spec in enumerate(self.specs) if self._needs_job(spec)]
        if lost and self._submissions < SUBMISSIONS:
            self._submit(lost)
            return True
        return False

    def close(self) -> None:
        """Jobs go on without this process; a later run finds them."""
        if self.job:
            logger.info('SLURM job %s goes on; scancel %s ends it', self.job, self.job)

    def _withdraw(self, queued: str) -> NoReturn:
        job, self.job = str(self.job), None
        _call(['scancel', job])
        (self.folder / JOB).unlink()
        raise DataError(f'SLURM job {job}: no node can ever run it ({queued}); see --sbatch-args')

    def _needs_job(self, spec: dict[str, Any]) -> bool:
        failed = self._submissions and read_json(Path(spec['folder']) / STATE).get('step') == 'failed'
        return not finished(spec) and not failed

    def _submit(self, indices: Sequence[int]) -> None:
        self._submissions += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        specs = [str(Path(spec['folder']) / SPEC) for spec in self.specs]
        folds, script = self.folder / f'folds_{time.time_ns()}.txt', self.folder / 'job.sh'
        write_text(folds, '\n'.join(specs) + '\n')
        parts = dict(cwd=self.specs[0]['cwd'], python=sys.executable, root=ROOT, task=TASK, folds=folds)
        write_text(script, SCRIPT.format(**{key: shlex.quote(str(part)) for key, part in parts.items()}))
        array = ','.join(map(str, indices)) + self.limit
        command = ['sbatch', '--parsable', f'--array={array}']
        command += [f'--output={self.folder}/%A_%a.txt', *self.options, f'--job-name={NAME}', str(script)]
        done = _call(command)
        if done.returncode:
            raise DataError(f'sbatch refused the job array: {done.stderr.strip()}; see --sbatch-args')
        self.job = done.stdout.strip().split(';')[0]  # id, or id;cluster
        write_json(self.folder / JOB, dict(job=self.job, folds=len(indices)))
        logger.info('SLURM job %s: %d folds', self.job, len(indices))


def refuse_queued(folder: Path) -> None:
    """Raises DataError while the job array that ``folder`` remembers is in the queue."""
    job = read_json(folder / JOB).get('job')
    if job and _queued(job):
        raise DataError(f'--fresh: SLURM job {job} still works here; scancel {job} first, or wait for it')


def _queued(job: str) -> str:
    """What squeue says of this job if it is a cross-validation of this user: empty if it is not there."""
    done = _call(['squeue', '--noheader', '--me', f'--name={NAME}', f'--jobs={job}', '--format=%i %T %r'])
    if done.returncode and 'Invalid job id' not in done.stderr:
        logger.warning('squeue failed: %s', done.stderr.strip())
        return 'squeue cannot tell'
    return done.stdout.strip()


def _call(command: list[str]) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DataError(f'{command[0]} is not on PATH; --launcher slurm runs on a login node') from None
