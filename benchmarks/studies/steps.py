"""Commands of a study, each run unless its result is there.

command lines and the files that show that they have ended well -> a study that goes on where it stopped
"""

import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Step(NamedTuple):
    """A script with its arguments, and the file that it leaves when it is done."""

    arguments: list[str]
    done: Path


def step(*arguments: object, done: Path) -> Step:
    """A command of the product."""
    return Step([str(argument) for argument in arguments], done)


def run(steps: Iterable[Step], *, dry: bool = False) -> None:
    """Print and run what is not done yet, and stop at the first that fails."""
    for arguments, done in steps:
        if dry or not done.is_file():
            print('python', shlex.join(arguments), flush=True)
        if not dry and not done.is_file():
            subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)


def resumed(target: Path) -> list[str]:
    """What tells a tool to go on in a folder that an earlier try left."""
    return ['--resume'] if target.exists() else []
