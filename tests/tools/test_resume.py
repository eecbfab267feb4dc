"""tools/train.py as SLURM and users call it: told to stop, started twice, on one process and on two."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
globals().update(__import__('tiny_run').tiny_config('').to_dict())
custom_imports = dict(imports=['mammo.engine', 'tiny_run'])
del work_dir
"""
PATIENCE_S = 240


@pytest.fixture
def start(tmp_path: Path):
    """Starts tools/train.py with the tiny config in the folder work."""
    (tmp_path / 'config.py').write_text(CONFIG)
    env = dict(
        os.environ,
        PYTHONPATH=f'{ROOT}:{ROOT / "tests/support"}',
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
    )
    running: list[subprocess.Popen] = []

    def run(*options: str, processes: int = 1, work_dir: str = 'work') -> subprocess.Popen:
        arguments = [str(tmp_path / 'config.py'), '--work-dir', str(tmp_path / work_dir), *options]
        command = [sys.executable, 'tools/train.py', *arguments]
        if processes > 1:
            command = ['bash', 'tools/dist_train.sh', arguments[0], str(processes), *arguments[1:]]
        running.append(
            subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen) -> tuple[int, str]:
    output = process.communicate(timeout=PATIENCE_S)[0]
    return process.returncode, output


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < end, f'{path} did not come'
        time.sleep(0.02)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load((folder / 'last_checkpoint').read_text(), weights_only=True)['state_dict']


# longer than any test, and not ended by early stopping (the second of the custom hooks) either
LONG = ('--cfg-options', 'train_cfg.max_epochs=10000000', 'custom_hooks.1.patience=10000000')


@pytest.mark.slow
def test_stopped_run_ends_with_75_and_a_second_one_in_its_folder_is_refused(start, tmp_path: Path) -> None:
    first = start(*LONG)
    wait_for(tmp_path / 'work' / 'epoch_1.pth')
    code, output = finish(start())
    assert code == 2
    message = next(line for line in output.splitlines() if line.startswith('error:'))
    assert f'process {first.pid} on ' in message
    assert 'is training into this folder. Wait for it or stop it, or choose another --work-dir' in message
    first.send_signal(signal.SIGTERM)
    code, output = finish(first)
    assert code == 75
    assert '--resume goes on from' in output
    (saved,) = (tmp_path / 'work').glob('*_interrupted.pth')
    assert (tmp_path / 'work' / 'last_checkpoint').read_text() == str(saved)


@pytest.mark.slow
def test_lock_of_a_killed_run_is_taken_over(start, tmp_path: Path) -> None:
    first = start(*LONG)
    wait_for(tmp_path / 'work' / 'epoch_1.pth')
    first.kill()
    first.wait()
    code, output = finish(start())
    assert code == 0, output


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on_to_the_same_result(start, tmp_path: Path) -> None:
    assert finish(start(processes=2, work_dir='whole'))[0] == 0
    text = (tmp_path / 'config.py').read_text()
    stop = "custom_hooks.append(dict(type='StopAtHook', moment='before_train_iter', count=4, rank=1))\n"
    (tmp_path / 'config.py').write_text(text + stop)
    code, output = finish(start(processes=2))
    assert code != 0
    assert 'exitcode  : 75' in output
    assert len(list((tmp_path / 'work').glob('*_interrupted.pth'))) == 1
    (tmp_path / 'config.py').write_text(text)
    assert finish(start('--resume', processes=2))[0] == 0
    whole, parts = weights(tmp_path / 'whole'), weights(tmp_path / 'work')
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())
