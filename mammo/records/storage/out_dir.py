"""The folder that a tool writes to: held by one run at a time, and nobody else's files in danger.

folder, tool, settings, --resume or --fresh -> OutDir with the records to go on from
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from mammo.errors import UserError, listed
from mammo.records.differences import differences
from mammo.records.storage.files import read_json_lines, write_text
from mammo.records.storage.lock import locked
from mammo.records.versions import VERSIONS

JOURNAL, LOCK = '.journal.jsonl', '.lock'
FORMAT_VERSION = VERSIONS['journal']
Record = dict[str, Any]


class OutDir:
    """A folder that this run holds, and its journal: finished records, and every file the tool made.

    The journal is the only thing that tells which files may be deleted or replaced.

    Attributes:
        records: of the run that this one goes on with; empty for a new one.
        files: relative paths that the journal names.
    """

    def __init__(self, folder: Path, recipe: Record) -> None:
        self.folder = folder
        self.path = folder / JOURNAL
        self.recipe = dict(format_version=FORMAT_VERSION, **recipe)
        self.records: list[Record] = []
        self.files: set[str] = set()
        self._writing = Lock()

    def start(self, records: Sequence[Record], files: Iterable[str]) -> None:
        """Before anything is written: keep these records, and note the files that this run may write.

        Raises:
            UserError: one of the files is there, and no run of this tool has made it.
        """
        self._claim(files)
        self._write([*records, dict(files=sorted(self.files))])

    def announce(self, files: Iterable[str]) -> None:
        """Before they are written: note files that were not known when the run started; from any thread.

        Raises:
            UserError: as :meth:`start`.
        """
        self._claim(files)
        self.append(dict(files=list(files)))

    def append(self, record: Record) -> None:
        """Add one finished record; a line torn by a crash is ignored when it is read."""
        with self._writing, self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(record) + '\n')

    def finish(self, records: Sequence[Record], files: Iterable[str]) -> None:
        """Write the records in their order, and remove files of earlier runs that are not among these."""
        kept = set(files)
        self._remove(self.files - kept)
        self.files = kept
        self._write([*records, dict(files=sorted(kept))])

    def _claim(self, files: Iterable[str]) -> None:
        planned = set(files)
        foreign = sorted(name for name in planned - self.files if (self.folder / name).exists())
        if foreign:
            raise UserError(
                f'{self.folder / listed(foreign, 1)}: not made by this tool, and would be replaced; '
                'choose another --out-dir, or move it away'
            )
        self.files |= planned

    def _write(self, lines: Sequence[Record]) -> None:
        write_text(self.path, ''.join(json.dumps(line) + '\n' for line in (self.recipe, *lines)))

    def _read(self) -> Record | None:
        """Recipe of the journal that is there, None without one; fills ``records`` and ``files``."""
        try:
            recipe, *rest = [*read_json_lines(self.path)] or [{}]
        except FileNotFoundError:
            return None
        if recipe.get('format_version') != FORMAT_VERSION or recipe.get('tool') != self.recipe['tool']:
            raise UserError(
                f'{self.path}: of {recipe.get("tool", "an older release")!r}, '
                f'not of this release of {self.recipe["tool"]!r}; choose another --out-dir'
            )
        self.records = [line for line in rest if 'files' not in line]
        self.files = {name for line in rest for name in line.get('files', ())}
        return recipe

    def _remove(self, names: Iterable[str]) -> None:
        root = self.folder.resolve()
        paths = [self.folder / name for name in names if not PurePosixPath(name).is_absolute()]
        inside = [path for path in paths if path.parent.resolve().is_relative_to(root)]
        for path in inside:
            path.unlink(missing_ok=True)
        for parent in sorted({path.parent for path in inside} - {self.folder}, reverse=True):
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


@contextmanager
def out_dir(
    folder: Path, recipe: Record, *, inputs: Iterable[Path] = (), resume: bool = False, fresh: bool = False
) -> Iterator[OutDir]:
    """Hold an output folder.

    Args:
        folder: made if it is not there.
        recipe: ``tool``, and everything that decides about results, such as settings and versions.
        inputs: images that the tool reads; none of them may lie in the folder.
        resume: go on with the run whose journal is there, if it had the same recipe.
        fresh: remove the files that the journal names, and start anew.

    Raises:
        UserError: the folder is used and neither is asked for, holds inputs, or has another recipe, or
            another run holds it.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / 'out'
        >>> with out_dir(place, dict(tool='demo', size=3)) as out:
        ...     out.start([], ['a.txt'])
        ...     _ = (place / 'a.txt').write_text('a')
        ...     out.append(dict(id='a'))
        >>> with out_dir(place, dict(tool='demo', size=3), resume=True) as out:
        ...     out.records
        [{'id': 'a'}]
    """
    if resume and fresh:
        raise UserError('--resume goes on and --fresh starts anew; give one of them')
    _refuse_inputs(folder, inputs, made_files(folder, recipe['tool']))  # before a file is made there
    with locked(folder / LOCK, 'is writing into', 'choose another --out-dir'):
        out = OutDir(folder, recipe)
        earlier = out._read()
        if earlier is not None and not (resume or fresh):
            raise UserError(
                f'{folder}: holds {len(out.files)} files of an earlier run; go on with --resume, '
                'start anew with --fresh, or choose another --out-dir'
            )
        if fresh and earlier is not None:
            out._remove({*out.files, JOURNAL})
            out.records, out.files = [], set()
        elif earlier is not None and earlier != out.recipe:
            changes = [f'{place} {old!r} -> {new!r}' for place, old, new in differences(earlier, out.recipe)]
            raise UserError(
                f'{out.path}: made with other settings: {listed(changes)}; '
                'start anew with --fresh, or choose another --out-dir'
            )
        yield out


def signature_of(path: Path) -> list[int]:
    """Size and time of change: a run that goes on redoes an input with another; [] of no file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns]


def made_files(folder: Path, tool: str) -> set[Path]:
    """Files that runs of a tool left in a folder, as real paths: no inputs for the next run."""
    out = OutDir(folder, dict(tool=tool))
    out._read()
    return {folder.resolve() / name for name in (JOURNAL, LOCK, *out.files)}


def _refuse_inputs(folder: Path, inputs: Iterable[Path], made: set[Path]) -> None:
    root = folder.resolve()
    for path in inputs:
        real = path.resolve()
        if real.is_relative_to(root) and real not in made:
            raise UserError(
                f'{folder}: holds inputs, such as {real.name!r}; choose an --out-dir without inputs'
            )
