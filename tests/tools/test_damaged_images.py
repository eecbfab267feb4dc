"""Images that are damaged after training started, from the command line: replaced, or the run stops."""

import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.toy_config import write_config

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 'train_dataloader.num_workers=1'


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_data: Path):
    """Trains two epochs on 20 images of which the numbered ones are damaged -> exit code."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    data = tmp_path / 'data'
    shutil.copytree(toy_data, data)

    def run(*damaged: int, options: tuple[str, ...] = ()) -> int:
        for i in damaged:
            os.truncate(data / f'image{i}.png', 500)
        config = write_config(tmp_path / 'config.py', data)
        command = ['tools/train.py', str(config), '--work-dir', str(tmp_path / 'work'), '--no-check-data']
        monkeypatch.setattr(sys, 'argv', [*command, *options])
        try:
            runpy.run_path('tools/train.py', run_name='__main__')
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def log_of(folder: Path) -> str:
    return '\n'.join(path.read_text() for path in folder.glob('work/*/*.log'))


def test_run_with_one_damaged_image_ends_well_and_says_so(train, tmp_path: Path) -> None:
    assert train(7, options=('--cfg-options', WORKERS)) == 0
    assert (tmp_path / 'work' / 'epoch_2.pth').is_file()
    assert '1 of 20 training images were damaged and replaced' in log_of(tmp_path)


@pytest.mark.parametrize('options', [(), ('--cfg-options', WORKERS)], ids=['no worker', 'a worker'])
def test_run_with_more_than_one_percent_stops_with_one_message(
    train, tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    assert train(7, 12, options=options) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert '2 of 20 training images do not decode' in line
    assert 'image7.png' in line
    assert 'image12.png' in line


def test_damaged_validation_image_stops_the_run(train, capsys: pytest.CaptureFixture) -> None:
    assert train(22) == 2
    assert 'image22.png: not an image, or damaged' in capsys.readouterr().err
