"""The SLURM scripts hand srun what the user asked for; srun is a stand-in that prints its arguments."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path):
    stand_in = tmp_path / 'bin' / 'srun'
    stand_in.parent.mkdir()
    stand_in.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)

    def call(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
        path = f'{stand_in.parent}:{os.environ["PATH"]}'
        command = ['bash', str(ROOT / 'tools' / script), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **env, 'PATH': path}, capture_output=True, text=True
        )

    return call


def test_training_asks_for_one_task_per_gpu_and_keeps_arguments_with_spaces(run) -> None:
    done = run('slurm_train.sh', 'gpu', 'job', 'my config.py', 'work dir', '--amp', GPUS='2')
    assert done.returncode == 0
    arguments = done.stdout.splitlines()
    assert {'--ntasks=2', '--ntasks-per-node=2', '--gres=gpu:2', '--job-name=job'} <= set(arguments)
    assert arguments[-6:] == ['my config.py', '--work-dir', 'work dir', '--launcher', 'slurm', '--amp']


def test_testing_on_cpu_asks_for_no_gpu(run) -> None:
    done = run('slurm_test.sh', 'cpu', 'job', 'config.py', 'a.pth', '--out', 'a.json', GPUS='0', TASKS='4')
    arguments = done.stdout.splitlines()
    assert '--ntasks=4' in arguments
    assert not [argument for argument in arguments if 'gres' in argument]
    assert arguments[-6:] == ['config.py', 'a.pth', '--launcher', 'slurm', '--out', 'a.json']


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh', 'dist_train.sh', 'dist_test.sh'])
def test_missing_arguments_end_with_the_usage(run, script: str) -> None:
    done = run(script, 'one')
    assert done.returncode != 0
    assert f'usage: {script}' in done.stderr
