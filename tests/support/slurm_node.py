"""Fixture: a SLURM of one node with two CPUs; a test that asks for it is skipped where SLURM is absent."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / 'torture' / 'slurm.sh'
PROGRAMS = ('slurmctld', 'slurmd', 'munged', 'srun', 'sbatch')


def _start(folder: Path) -> str:
    done = subprocess.run(['bash', str(SCRIPT), 'start', str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope='module')
def slurm_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs a SLURM command -> its output; SLURM_CONF of this process names the node."""
    path = f'{os.environ["PATH"]}:/usr/sbin:/sbin'
    absent = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if absent:
        pytest.skip(f'not installed: {", ".join(absent)} (Debian: slurm-wlm, munge)')
    folder = tmp_path_factory.mktemp('slurm')
    os.environ['SLURM_CONF'] = _start(folder)

    def call(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    yield call
    del os.environ['SLURM_CONF']
    subprocess.run(['bash', str(SCRIPT), 'stop', str(folder)], check=True)
