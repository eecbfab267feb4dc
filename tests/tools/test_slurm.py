"""tools/slurm_train.sh on a real SLURM of one node: signals, requeue, time limit, wrong requests."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.slurm_node import slurm_node  # noqa: F401
from tests.support.stand_in_folds import until

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
globals().update(__import__('tiny_run').tiny_config('').to_dict())
custom_imports = dict(imports=['mammo.engine', 'tiny_run'])
del work_dir
"""
PAUSE = "custom_hooks.append(dict(type='PauseHook', count=7))\n"  # in the second of three epochs
LIMIT_S = 600
pytestmark = pytest.mark.slow


@pytest.fixture
def node(slurm_node: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    """The node, and an environment in which the scripts ask for two tasks of one CPU each."""
    (tmp_path / 'config.py').write_text(CONFIG)
    variables = dict(GPUS='0', TASKS='2', CPUS_PER_TASK='1', OMP_NUM_THREADS='1')
    variables['PYTHONPATH'] = f'{ROOT}:{ROOT / "tests/support"}'
    variables['PATH'] = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv('SRUN_ARGS', raising=False)
    yield slurm_node
    slurm_node('scancel', '--user', str(os.getuid()))
    until(lambda: not slurm_node('squeue', '--noheader'), LIMIT_S)


def train(folder: Path, work_dir: str, *options: str) -> list[str]:
    script = str(ROOT / 'tools' / 'slurm_train.sh')
    return ['bash', script, 'cpu', 'job', str(folder / 'config.py'), str(folder / work_dir), *options]


def finish(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr


def paused(folder: Path) -> bool:
    return all((folder / f'paused.{rank}').exists() for rank in range(2))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load((folder / 'last_checkpoint').read_text(), weights_only=True)['state_dict']


@pytest.fixture
def whole(node, tmp_path: Path) -> dict[str, torch.Tensor]:
    """Weights of a run of two tasks that nothing disturbs; from then on runs pause in their second epoch."""
    finish(train(tmp_path, 'whole'))
    with (tmp_path / 'config.py').open('a') as config:
        config.write(PAUSE)
    return weights(tmp_path / 'whole')


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_a_batch_job_that_gets_a_signal_is_requeued_and_ends_with_the_same_weights(
    node, whole, tmp_path: Path
) -> None:
    work, log = tmp_path / 'work', tmp_path / 'log.txt'
    options = ['--requeue', '--ntasks=2', f'--output={log}', '--open-mode=append']
    job = node('sbatch', '--parsable', *options, '--wrap', shlex.join(train(tmp_path, 'work'))).strip()
    until(lambda: paused(work), LIMIT_S)
    node('scancel', '--signal=TERM', job)
    until(lambda: not node('squeue', '--noheader'), LIMIT_S)
    assert '--resume goes on from' in log.read_text()
    assert f'JobId={job} ' in node('scontrol', 'show', 'job', job)
    assert 'Restarts=1 ' in node('scontrol', 'show', 'job', job)
    assert_same(weights(work), whole)


def test_a_run_near_its_time_limit_is_saved_and_started_again(
    node, whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes 120 s ahead of the end or up to a minute earlier: a minute or two after the start."""
    monkeypatch.setenv('SRUN_ARGS', '--time=4')
    finish(train(tmp_path, 'work'))
    assert paused(tmp_path / 'work')  # nothing but the signal ends the pause
    assert_same(weights(tmp_path / 'work'), whole)


def test_one_task_that_fails_ends_the_other(node, tmp_path: Path) -> None:
    with (tmp_path / 'config.py').open('a') as config:
        config.write("custom_hooks.append(dict(type='StopAtHook', moment='before_train_iter', count=7, "
                     "signal_name='SIGKILL', rank=1))\n")  # fmt: skip
    done = subprocess.run(train(tmp_path, 'work'), capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode not in (0, 75)
    assert not node('squeue', '--noheader')


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_more_cpus_than_a_node_has_are_refused_at_once(
    node, tmp_path: Path, script: str, monkeypatch
) -> None:
    monkeypatch.setenv('CPUS_PER_TASK', '3')
    command = ['bash', str(ROOT / 'tools' / script), 'cpu', 'job', 'config.py', 'work']
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 2
    assert (
        "CPUS_PER_TASK=3 for 1 task(s) on a node: partition 'cpu' has at most 2 CPUs on a node" in done.stderr
    )
    assert 'set CPUS_PER_TASK to at most 2' in done.stderr
    assert not node('squeue', '--noheader')
