"""Fixtures of the tests of the commands."""

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.support.registered  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def call() -> Iterator[Callable[..., None]]:
    """Runs a command of tools/ in this process, with its arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)

        def run(tool: str, *arguments: str | Path) -> None:
            patch.setattr(sys, 'argv', [tool, *map(str, arguments)])
            runpy.run_path(f'tools/{tool}', run_name='__main__')

        yield run
