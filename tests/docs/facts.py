"""What the tables of statements compute with: pages and their tables, defaults of the commands, configs.

name of a page, command or config -> text, rows, values
"""

import functools
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WORDS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')


@functools.cache
def text(name: str) -> str:
    """A file of the project, relative to its root."""
    return (ROOT / name).read_text(encoding='utf-8')


def plain(said: str) -> str:
    """Text without line ends, as a sentence is looked for."""
    return re.sub(r'\s+', ' ', said).strip()


def pages() -> list[str]:
    """README and all pages of docs."""
    return ['README.md', *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob('docs/**/*.md'))]


def word(number: int) -> str:
    """A small number as sentences have it."""
    return WORDS[number]


@functools.cache
def sections() -> dict[str, str]:
    """What each command says of itself, from the page that docs/checks/cli.py writes."""
    return dict(re.findall(r'^## (\S+)\n\n```text\n(.*?)^```', text('docs/cli.md'), re.M | re.S))


def default(command: str, option: str) -> str:
    """Default of an option, as ``--help`` shows it."""
    entries = re.findall(r'^  (-.*?)(?=^  \S|^\S|\Z)', sections()[command], re.M | re.S)
    entry = next(entry for entry in entries if re.match(rf'({option}|.*, {option})(?![\w-])', entry))
    found = re.findall(r'\(default: ([^)]*)\)', plain(entry))
    if len(found) != 1:
        raise LookupError(f'{command} {option}: no default in {plain(entry)!r}')
    return found[0]


def rows(page: str, start: str = '') -> list[list[str]]:
    """Cells of the rows of all tables of a page whose first cell starts so."""
    lines = [line for line in text(page).splitlines() if line.startswith('|')]
    cells = [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines]
    return [row for row in cells if row[0].startswith(start)]


def row(page: str, start: str) -> list[str]:
    """The first row whose first cell starts so."""
    found = rows(page, start)
    if not found:
        raise LookupError(f'{page}: no row that starts with {start!r}')
    return found[0]


def value(cell: str) -> str:
    """The number at the start of a cell, without its interval."""
    return cell.split()[0]


def commands_of(page: str, fence: str = '```bash') -> list[str]:
    """Lines of the blocks of commands of a page."""
    blocks = re.findall(rf'^{fence}\n(.*?)^```', text(page), re.M | re.S)
    return [line for block in blocks for line in block.replace('\\\n', ' ').splitlines() if line.strip()]


@functools.cache
def config(name: str) -> Any:
    """A config with its bases, read as the framework reads it."""
    from mmengine.config import Config

    return Config.fromfile(ROOT / name)


@functools.cache
def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads(text('pyproject.toml'))


def locked(package: str, lock: str = 'requirements-upstream.lock') -> str:
    """Version of a package in a lock file."""
    return re.search(rf'^{package}==(\S+)', text(lock), re.M)[1]  # type: ignore[index]


def count_of(pattern: str, name: str) -> str:
    """What a pattern's group finds in a file that is no Python module."""
    found = re.search(pattern, text(name), re.M)
    if not found:
        raise LookupError(f'{name}: nothing like {pattern}')
    return found[1]


def tracked(*patterns: str) -> list[str]:
    """Files of the project."""
    run = subprocess.run(['git', 'ls-files', *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.split('\n')[:-1]


def quoted(message: str, actual: Callable[[], str]) -> tuple[str, Callable[[], tuple]]:
    """A message as a page quotes it; all of its parts between dots must be in the one that the code gives."""

    def compare() -> tuple:
        given = actual()
        missing = [part for part in message.split('...') if part.strip() not in given]
        if missing:
            raise LookupError(f'{message!r} is quoted, the code says {given!r}')
        return ()

    return '`' + message.replace('{', '{{').replace('}', '}}') + '`', compare
