"""Whole files or none: every record of the project is written through this module.

value -> file that is complete or was never touched
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mammo.errors import UserError
from mammo.records.versions import VERSIONS, version_problem


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
        _sync(path.parent)  # without it a power cut may undo the renaming
    finally:
        tmp.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as tmp:
        tmp.write_text(text, encoding='utf-8')


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as JSON; NaN and infinity are refused (``ValueError``) since JSON has none."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + '\n')


def read_record(path: str | os.PathLike, record: str = '', remedy: str = '') -> dict[str, Any]:
    """A JSON record of a version that this release reads.

    Args:
        record: its name in mammo.records.versions; without it, the file's name says it, else it is a report.
        remedy: what to do if it cannot be read.

    Raises:
        UserError: it is missing, damaged, or of another version.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        version = content['format_version']
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = f'{path}: cannot be read as a record of this project: {error!r}'
        raise UserError(f'{text}; {remedy}' if remedy else text) from None
    stem = Path(path).stem
    problem = version_problem(record or (stem if stem in VERSIONS else 'report'), version)
    if problem:
        raise UserError(f'{path}: {problem}')
    return content


def read_json_lines(path: str | os.PathLike) -> Iterator[dict[str, Any]]:
    """The objects of a file with one on each line; a line that a kill has torn is left out."""
    for line in Path(path).read_text(encoding='utf-8').splitlines():
        with suppress(json.JSONDecodeError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def sha256_of_bytes(content: bytes) -> str:
    """SHA-256 of what is in memory -> 64 hex digits.

    Example:
        >>> sha256_of_bytes(b'abc')[:8]
        'ba7816bf'
    """
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content -> 64 hex digits."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def write_hashed(path: str | os.PathLike, content: bytes) -> None:
    """Write ``content``, and its SHA-256 beside it as ``NAME.sha256`` (the form of ``sha256sum -c``).

    The hash matches the file at every moment: while one file replaces another, both hashes are listed.
    """
    path = Path(path)
    line = f'{sha256_of_bytes(content)}  {path.name}\n'
    with replacing(path) as tmp:
        tmp.write_bytes(content)
        write_text(sidecar_of(path), _hash_lines(path) + line)
    write_text(sidecar_of(path), line)


def remove_hashed(path: str | os.PathLike) -> None:
    """Remove a file and its hash."""
    Path(path).unlink(missing_ok=True)
    sidecar_of(path).unlink(missing_ok=True)


def hash_problem(path: str | os.PathLike) -> str | None:
    """What is wrong with a file whose SHA-256 lies beside it; None if nothing is, or if there is no hash."""
    sidecar = sidecar_of(path)
    if not sidecar.is_file() or (digest := sha256_of(path)) in sidecar.read_text(errors='replace').split():
        return None
    return (
        f'{path}: damaged: its SHA-256 is {digest}, not that of {sidecar.name}. Use another copy; if it was '
        f'changed on purpose, remove {sidecar.name}'
    )


def sidecar_of(path: str | os.PathLike) -> Path:
    """epoch_3.pth -> epoch_3.pth.sha256."""
    return Path(f'{os.fspath(path)}.sha256')


def _hash_lines(path: Path) -> str:
    """Lines that are valid for a file as it is now."""
    if not path.is_file():
        return ''
    sidecar = sidecar_of(path)
    return sidecar.read_text() if sidecar.is_file() else f'{sha256_of(path)}  {path.name}\n'


def _sync(path: Path) -> None:
    """Make sure that a file, or the list of a folder's files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
