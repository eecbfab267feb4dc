"""Folds as stand-ins; these tests build from registered names."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import tests.support.registered  # noqa: F401
from mammo.crossval.jobs import job, slurm
from mammo.crossval.settings import RECORD
from tests.support.stand_in_folds import STAND_IN


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """Specs of folds whose child behaves as told, one word per attempt."""
    stand_in = tmp_path / 'stand_in.py'
    stand_in.write_text(STAND_IN)
    monkeypatch.setattr(job, 'CHILD', (sys.executable, str(stand_in)))
    monkeypatch.setattr(slurm, 'TASK', 'stand_in')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr(job, '_stopping', threading.Event())

    def spec(name: str, *behaviour: str) -> dict:
        folder = tmp_path / 'run' / name
        common = dict(cwd=str(tmp_path), threads=None, wanted=[], behaviour=behaviour or ['work'])
        return dict(name=name, folder=str(folder), **common)

    return spec


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A work dir with one fold."""
    folder = tmp_path / 'run/0/0'
    folder.mkdir(parents=True)
    for file in (folder / 'spec.json', folder / '.lock', tmp_path / 'run' / RECORD):
        file.write_text('{}')
    return tmp_path / 'run'
