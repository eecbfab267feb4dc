"""A table of images: one row for each, with its path, whose it is, and what is known of it.

table -> Job: path, checked fields, further columns as ``clinic_vars``; or why a row cannot be used
"""

import json
import math
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from mammo.errors import UserError
from mammo.preprocess.dicom import geometry, headers, kinds
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.job import Job
from mammo.records.ids import is_missing, normal_id, normal_path
from mammo.records.meta_items import check_path, side
from mammo.records.tables.header import TableError
from mammo.records.tables.matching import patient_of
from mammo.records.tables.numerals import decimal_points, number, plain_values
from mammo.records.tables.reading import read_table

PATHS = ('dicom_path', 'png_path')


def read_rows(table: Path) -> Iterator[Job]:
    """Rows in their order; paths are relative to the folder of the table.

    Raises:
        TableError: it cannot be read, or has no column of patients or paths.
    """
    rows = read_table(table, ['patient_id'], kept=(*PATHS, *FIELDS))
    if not set(PATHS) & set(rows.columns):
        raise TableError(f'{table}: columns are {list(rows.columns)}, expected {" or ".join(PATHS)}')
    if 'spacing_mm' in rows:
        rows['spacing_mm'] = decimal_points(list(rows['spacing_mm']))
    further = [name for name in rows.columns if name not in (*PATHS, 'patient_id', *FIELDS)]
    values = {name: plain_values(rows[name]) for name in further}
    for i, (line, cells) in enumerate(zip(rows.index, rows.to_dict('records'), strict=True)):
        yield _image_row(table.parent, cells, {name: values[name][i] for name in further}, int(line))


def _image_row(folder: Path, cells: dict[Any, str], further: dict[str, Any], line: int) -> Job:
    paths = [cells.get(name, '') for name in PATHS]
    dicom, png = ('' if is_missing(path) else normal_path(path) for path in paths)
    name = dicom or png or f'row {line}'
    fields: dict[str, Any] = dict(clinic_vars=further)
    error = None
    try:
        # first: she has a bad row, whatever else is in it
        fields['patient_id'] = patient_of(cells['patient_id'], f'row {line}')
        fields |= _fields(cells, f'row {line}')
        if bool(dicom) == bool(png):
            raise UserError(f'row {line}: give dicom_path or png_path, one of them')
        check_path(name, f'row {line}')
        path = _on_disk(folder / name)
        if path.is_dir():
            raise UserError(f'row {line}: {name!r} is a folder, expected a file')
        if '\\' in name and not path.exists():
            raise UserError(f'row {line}: no such file; its path has back-slashes, write / instead')
    except UserError as wrong:
        path, error = folder / 'none', PreprocessError(Reason.BAD_ROW, str(wrong))
    return Job(name, path, fields, not dicom, error, line)


def _fields(cells: dict[Any, str], place: str) -> dict[str, Any]:
    """The fields that a row fills in, checked."""
    filled = {name: cells[name] for name in FIELDS if not is_missing(cells.get(name, ''))}
    return {name: FIELDS[name](cell, f'{place}: {name}') for name, cell in filled.items()}


def _on_disk(path: Path) -> Path:
    """The file, also where the table writes an accent as one character and the disk as two, or vice versa."""
    forms = (path, *(Path(unicodedata.normalize(form, str(path))) for form in ('NFC', 'NFD')))
    return next((form for form in forms if form.exists()), path)


def _one_of(allowed: Collection[str], expected: str) -> Callable[[str, str], str]:
    """Reader of a word in any case; ``expected`` is what a message names of those that are allowed."""

    def read(cell: str, place: str) -> str:
        if cell.upper() not in allowed:
            raise UserError(f'{place} is {cell!r}, expected {expected}')
        return cell.upper()

    return read


def _spacing(cell: str, place: str) -> float:
    spacing_mm, (low, high) = number(cell, place), geometry.PLAUSIBLE_SPACING_MM
    if not low <= spacing_mm <= high:
        raise UserError(f'{place} is {spacing_mm}, expected {low} to {high}')
    return spacing_mm


def _discs(cell: str, place: str) -> list[list[float]]:
    try:
        discs = [[float(number) for number in disc] for disc in json.loads(cell)]
    except (TypeError, ValueError):
        discs = [[]]
    if not all(len(disc) == 3 and all(map(math.isfinite, disc)) and disc[2] >= 0 for disc in discs):
        raise UserError(f'{place} is {cell!r}, expected JSON [[x, y, radius], ...] in pixels of the source')
    return discs


def _kinds(cell: str, place: str) -> dict[Reason, str]:
    """View modifiers by code or meaning, separated by commas -> reasons among them, with what is meant."""
    reasons = {}
    for word in cell.replace(';', ',').split(','):
        name = kinds.MODIFIER_OF_CODE.get(word.strip(), word.strip().lower())
        if name not in kinds.REASON_OF_MODIFIER:
            names = ', '.join(kinds.REASON_OF_MODIFIER)
            raise UserError(f'{place} is {word.strip()!r}, expected one of: {names}')
        if (reason := kinds.REASON_OF_MODIFIER[name]) is not None:
            reasons[reason] = f'view modifier {name!r}'
    return reasons


# Every column that the project knows besides path and patient: what reads its cells; place -> message
FIELDS: dict[str, Callable[[str, str], Any]] = dict(
    view=_one_of(headers.VIEWS, 'CC or MLO'),
    laterality=side,
    tumor_side=side,
    exam_id=normal_id,
    exam_order=number,
    cohort=normal_id,
    manufacturer=lambda cell, _: cell,
    spacing_mm=_spacing,
    lesions=_discs,
    photometric=_one_of(('MONOCHROME1', 'MONOCHROME2'), 'MONOCHROME1 or MONOCHROME2'),
    view_modifier=_kinds,
)
