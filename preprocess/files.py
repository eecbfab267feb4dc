"""Whole files or none: every record of the project is written through this module.

value -> file that is complete or was never touched
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there, synced, only if the block succeeds.

    The parent folder is made. The temporary name keeps the suffix, so that writers which look at
    it (PNG, npz) behave the same.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with replacing(folder / 'a.txt') as tmp:
        ...     _ = tmp.write_text('whole')
        >>> (folder / 'a.txt').read_text()
        'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix='.tmp-', suffix=path.suffix)
    os.close(handle)
    tmp = Path(name)
    try:
        yield tmp
        _sync(tmp)
        tmp.chmod(0o666 & ~_umask())  # mkstemp makes private files
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as tmp:
        tmp.write_text(text, encoding='utf-8')


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as JSON; NaN and infinity are refused (``ValueError``) since JSON has none."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + '\n')


def _sync(path: Path) -> None:
    with path.open('rb') as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
