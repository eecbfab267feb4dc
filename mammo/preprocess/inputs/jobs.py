"""What there is to preprocess: files of a folder, one file, or the rows of a table.

path -> list of Job (some of them hopeless from the start)
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mammo.errors import DataError
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.image_rows import read_rows
from mammo.preprocess.inputs.job import Job
from mammo.records.storage.out_dir import made_files
from mammo.records.tables.reading import SUFFIXES

TOOL = 'preprocess'  # whose journal names what an earlier run left in the output folder


def find_jobs(source: Path, out_dir: Path) -> list[Job]:
    """List the inputs in a fixed order; what an earlier run left in ``out_dir`` does not count.

    Raises:
        DataError: ``source`` does not exist, or is a table that lacks a column.
    """
    if source.is_dir():
        jobs = _walk(source, source, (source.resolve(),), made_files(out_dir, TOOL))
        return sorted(jobs, key=lambda job: job.source)
    if not source.exists():
        raise DataError(f'{source}: no such file or folder')
    if source.suffix.lower() in SUFFIXES:
        return list(read_rows(source))
    return [Job(source.name, source)]


def _walk(folder: Path, root: Path, above: tuple[Path, ...], made: set[Path]) -> Iterator[Job]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield _hopeless(folder, root, Reason.UNREADABLE, f'folder cannot be listed: {error.strerror}')
        return
    for entry in entries:
        path = Path(entry.path)
        try:
            mode, real = path.stat().st_mode, path.resolve()
        except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
            yield _hopeless(
                path, root, Reason.UNREADABLE, f'link or file cannot be read: {type(error).__name__}'
            )
            continue
        if real in made:
            continue
        if stat.S_ISDIR(mode) and real in above:
            yield _hopeless(path, root, Reason.SYMLINK_LOOP, 'link to a folder that contains it')
        elif stat.S_ISDIR(mode):
            yield from _walk(path, root, (*above, real), made)
        elif stat.S_ISREG(mode):
            yield Job(_printable(path.relative_to(root)), path)
        else:
            yield _hopeless(path, root, Reason.UNREADABLE, 'not a regular file')


def _hopeless(path: Path, root: Path, reason: Reason, message: str) -> Job:
    return Job(_printable(path.relative_to(root)), path, error=PreprocessError(reason, message))


def _printable(path: Path) -> str:
    return path.as_posix().encode('utf-8', 'backslashreplace').decode()
