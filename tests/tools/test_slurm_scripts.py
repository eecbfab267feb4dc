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


STOPPED_ONCE = """#!/usr/bin/env bash
printf "%s\\n" "$@" >> calls
echo end >> calls
[ "$(grep -c end calls)" = 1 ] && exit 75
exit 0
"""


def test_stopped_training_is_started_again_with_resume(run, tmp_path: Path) -> None:
    (tmp_path / 'bin' / 'srun').write_text(STOPPED_ONCE)
    done = run(
        'slurm_train.sh', 'gpu', 'job', 'config.py', 'w', '--amp', SLURM_JOB_ID='', SLURM_RESTART_COUNT='0'
    )
    assert done.returncode == 0
    first, second = (tmp_path / 'calls').read_text().strip().removesuffix('end').split('end\n')
    assert '--signal=TERM@120' in first.splitlines()
    assert '--resume' not in first.splitlines()
    assert second.splitlines()[-2:] == ['--amp', '--resume']


def test_stopped_batch_job_is_requeued_and_resumes(run, tmp_path: Path) -> None:
    (tmp_path / 'bin' / 'srun').write_text(STOPPED_ONCE)
    scontrol = tmp_path / 'bin' / 'scontrol'
    scontrol.write_text('#!/usr/bin/env bash\nprintf "%s " "$@" > requeued\n')
    scontrol.chmod(0o755)
    arguments = ['slurm_train.sh', 'gpu', 'job', 'config.py', 'w']
    assert run(*arguments, SLURM_JOB_ID='12', SLURM_RESTART_COUNT='0').returncode == 75
    assert (tmp_path / 'requeued').read_text() == 'requeue 12 '
    assert run(*arguments, SLURM_JOB_ID='12', SLURM_RESTART_COUNT='1').returncode == 0
    assert (tmp_path / 'calls').read_text().splitlines()[-2:] == ['--resume', 'end']


def test_failed_training_is_not_started_again(run, tmp_path: Path) -> None:
    (tmp_path / 'bin' / 'srun').write_text('#!/usr/bin/env bash\necho x >> calls\nexit 2\n')
    assert run('slurm_train.sh', 'gpu', 'job', 'config.py', 'w').returncode == 2
    assert (tmp_path / 'calls').read_text() == 'x\n'
