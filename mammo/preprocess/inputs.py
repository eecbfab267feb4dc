"""What there is to preprocess: files of a folder, one file, or the rows of a CSV.

path -> list of Job (some of them hopeless from the start)
"""

import json
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.preprocess import headers
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.labels import MISSING, number, side, table
from mammo.preprocess.privacy import digest

# besides path and patient; lesions is JSON: [[x, y, radius], ...] in pixels of the source
FIELDS = ('view', 'laterality', 'exam_id', 'cohort', 'manufacturer', 'spacing_mm', 'lesions')
PRODUCTS = ('png', 'thumbs', 'meta.json', 'skipped.csv', 'preprocess.json', 'overview.html', '.journal.jsonl')


@dataclass(frozen=True)
class Job:
    """One input: where it is, what the CSV says of it, and why it cannot be used if that is known."""

    source: str  # the path relative to the input folder, or as the CSV has it
    path: Path
    given: dict[str, Any] = field(default_factory=dict)  # patient_id, view, ... and clinic_vars
    is_png: bool = False
    error: PreprocessError | None = None
    row: int = 0  # of the CSV

    def id(self, key: bytes | None) -> str:
        """Name of the input in the journal and of its PNG; says nothing to who lacks the key."""
        return digest('input', f'{self.source}\0{self.row or ""}', key)


def find_jobs(source: Path, out_dir: Path) -> list[Job]:
    """List the inputs in a fixed order; what an earlier run left in ``out_dir`` does not count.

    Raises:
        ValueError: ``source`` does not exist, or is a CSV that lacks a column.
    """
    if source.is_dir():
        products = {out_dir.resolve() / name for name in PRODUCTS}
        found = _walk(source, source, (source.resolve(),), products)
        return sorted(found, key=lambda job: job.source)
    if not source.exists():
        raise ValueError(f'{source}: no such file or folder')
    if source.suffix.lower() in ('.csv', '.tsv'):
        return list(_rows(source))
    return [Job(source.name, source)]


def _walk(folder: Path, root: Path, above: tuple[Path, ...], products: set[Path]) -> Iterator[Job]:
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
        if not products.isdisjoint((real, *real.parents)):
            continue
        if stat.S_ISDIR(mode) and real in above:
            yield _hopeless(path, root, Reason.SYMLINK_LOOP, 'link to a folder that contains it')
        elif stat.S_ISDIR(mode):
            yield from _walk(path, root, (*above, real), products)
        elif stat.S_ISREG(mode):
            yield Job(_printable(path.relative_to(root)), path)
        else:
            yield _hopeless(path, root, Reason.UNREADABLE, 'not a regular file')


def _hopeless(path: Path, root: Path, reason: Reason, message: str) -> Job:
    return Job(_printable(path.relative_to(root)), path, error=PreprocessError(reason, message))


def _printable(path: Path) -> str:
    return path.as_posix().encode('utf-8', 'backslashreplace').decode()


def _rows(source: Path) -> Iterator[Job]:
    rows = table(source, ['patient_id'])
    if not {'dicom_path', 'png_path'} & set(rows.columns):
        raise ValueError(f'{source}: columns are {list(rows.columns)}, expected dicom_path or png_path')
    known = {'dicom_path', 'png_path', 'patient_id', *FIELDS}
    seen: set[str] = set()
    for line, row in enumerate(rows.to_dict('records'), start=2):
        dicom, png = row.get('dicom_path', ''), row.get('png_path', '')
        name = dicom or png or f'row {line}'
        given = {'clinic_vars': {k: _cell(v) for k, v in row.items() if k not in known}}
        error = None
        try:
            given |= _given(row, line)
            if bool(dicom) == bool(png):
                raise PreprocessError(Reason.BAD_ROW, f'row {line}: give dicom_path or png_path, one of them')
            if name in seen:
                raise PreprocessError(Reason.DUPLICATE, f'row {line}: this path stands in an earlier row')
        except PreprocessError as found:
            error = found
        seen.add(name)
        yield Job(name, source.parent / name, given, is_png=not dicom, error=error, row=line)


def _given(row: dict[Any, Any], line: int) -> dict[str, Any]:
    """The fields that a CSV row fills in, checked."""
    given: dict[str, Any] = {
        name: row[name] for name in ('patient_id', *FIELDS) if row.get(name, '').lower() not in MISSING
    }
    if 'patient_id' not in given:
        raise PreprocessError(Reason.BAD_ROW, f'row {line}: patient_id is empty')
    try:
        if 'laterality' in given:
            given['laterality'] = side(given['laterality'], f'row {line}')
        if 'lesions' in given:
            given['lesions'] = _discs(given['lesions'], f'row {line}: lesions')
        if 'spacing_mm' in given:
            given['spacing_mm'] = number(given['spacing_mm'], f'row {line}: spacing_mm')
            low, high = headers.PLAUSIBLE_SPACING_MM
            if not low <= given['spacing_mm'] <= high:
                raise ValueError(f'row {line}: spacing_mm is {given["spacing_mm"]}, expected {low} to {high}')
    except ValueError as error:
        raise PreprocessError(Reason.BAD_ROW, str(error)) from None
    if given.get('view', 'CC').upper() not in headers.VIEWS:
        raise PreprocessError(Reason.BAD_ROW, f'row {line}: view is {given["view"]!r}, expected CC or MLO')
    return given | ({'view': given['view'].upper()} if 'view' in given else {})


def _discs(text: str, place: str) -> list[list[float]]:
    try:
        discs = [[float(number) for number in disc] for disc in json.loads(text)]
    except (TypeError, ValueError):
        discs = [[]]
    if not all(len(disc) == 3 and all(map(math.isfinite, disc)) and disc[2] >= 0 for disc in discs):
        raise ValueError(f'{place} is {text!r}, expected JSON [[x, y, radius], ...] in pixels of the source')
    return discs


def _cell(value: str) -> float | str | None:
    if value.lower() in MISSING:
        return None
    try:
        return number(value, '')
    except ValueError:
        return value
