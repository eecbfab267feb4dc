"""What is asked: one exam as a command line names it, and patients as tables tell of them.

files, L_CC=FILE, NAME=VALUE -> Prediction; clinical table, rows of images -> clinical values, tumor side
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mammo.errors import listed
from mammo.fusion.clinical import check_table
from mammo.fusion.schema import ClinicalError
from mammo.inference.exam.views import job_of
from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import ExamError, Refusal
from mammo.preprocess.inputs.job import Job
from mammo.records.ids import normal_id
from mammo.records.meta_items import side
from mammo.records.tables.numerals import decimal_points
from mammo.records.tables.reading import read_table

logger = logging.getLogger(__name__)
SIDE = 'tumor_side'  # a column of the tables


def ask(
    predictor: Predictor,
    files: Sequence[str],
    views: Sequence[str],
    clinical: Sequence[str],
    tumor_side: str | None,
    cropped_png: bool | None,
) -> Prediction:
    """Score the images of one patient.

    Args:
        views: ``L_CC=FILE``, images whose side and view are given.
        clinical: ``NAME=VALUE``.

    Raises:
        UserError: the images or values are not those of one exam.
    """
    jobs = [job_of(path) for path in files]
    jobs += [job_of(path, name) for name, path in pairs(views, '--view')]
    values = pairs(clinical, '--clinical')
    if len(dict(values)) < len(values):
        raise ExamError(Refusal.CLINICAL_NAME, f'a name stands twice in --clinical {list(clinical)}')
    return predictor.predict(jobs, dict(values), tumor_side=tumor_side, cropped_png=cropped_png)


def pairs(texts: Sequence[str], option: str) -> list[tuple[str, str]]:
    """``NAME=VALUE`` texts -> pairs."""
    named = [(name, value) for name, equals, value in (text.partition('=') for text in texts) if equals]
    if len(named) < len(texts):
        raise ExamError(Refusal.USAGE, f'{option} {list(texts)}: expected NAME=VALUE')
    return named


def clinical_of(path: Path, predictor: Predictor) -> dict[str, dict[Any, str]]:
    """Patient -> cells of the clinical table: variables of the bundle, and tumor_side; all checked."""
    if predictor.fusion is None:
        raise ClinicalError(f'{path}: the bundle has no fused model; leave --clinical-table out')
    schema = predictor.fusion.schema
    cells = read_table(path, kept=[schema.patient_id, SIDE, *(v.column for v in schema.variables)])
    check_table(cells, schema, str(path))
    for v in schema.variables:
        cells[v.column] = decimal_points(list(cells[v.column])) if v.range else cells[v.column]
    wanted = [c for c in cells.columns if c == SIDE or c in {v.column for v in schema.variables}]
    rows = cells[wanted].to_dict('records')
    ids = [normal_id(cell) or '' for cell in cells[schema.patient_id]]
    return dict(zip(ids, rows, strict=True))


def names_of(predictor: Predictor) -> dict[str, str]:
    """Column of a table, in lower case -> clinical variable of the bundle, or ``tumor_side``."""
    columns = {column.lower(): v['name'] for v in predictor.schema for column in (v['column'], v['name'])}
    return columns | {SIDE: SIDE}


def tell_unused(patients: Iterable[tuple[str, list[Job]]], predictor: Predictor) -> None:
    """Warn of columns of the table of images that decide nothing: they may be misspelt."""
    columns = {
        name: None for _, jobs in patients for job in jobs for name in job.fields.get('clinic_vars', {})
    }
    names = names_of(predictor)
    if unused := [name for name in columns if name.lower() not in names]:
        logger.warning('columns without use: %s; there are %s', listed(unused), ', '.join(names.values()))


def told_of(
    jobs: list[Job], cells: list[dict[str, Any]], predictor: Predictor
) -> tuple[dict[str, Any], str | None]:
    """What the rows of a patient's images and of further tables say -> clinical values, tumor side.

    Raises:
        ExamError: two rows contradict each other, or the side is none.
    """
    names = names_of(predictor)
    spellings: dict[str, dict[str, Any]] = {}
    of_images = [{SIDE: job.fields.get(SIDE)} | job.fields.get('clinic_vars', {}) for job in jobs]
    for row in [*cells, *of_images]:
        for name, value in row.items():
            name = names.get(name.lower(), '')
            if name == SIDE and value:
                spellings.setdefault(name, {})[_side(value)] = _side(value)
            elif name and value not in (None, ''):
                spellings.setdefault(name, {})[_as_number(value)] = value
    for name, values in spellings.items():
        if len(values) > 1:
            raise ExamError(
                Refusal.CONTRADICTION, f'{name} is {" and ".join(sorted(values))}; give one value'
            )
    values_of = {name: value for name, values in spellings.items() for value in values.values()}
    return {name: value for name, value in values_of.items() if name != SIDE}, values_of.get(SIDE) or None


def _side(value: str) -> str:
    try:
        return side(value, SIDE)
    except ValueError:
        raise ExamError(
            Refusal.BAD_SIDE, f'tumor_side is {value!r}, expected L, R, or empty if unknown'
        ) from None


def _as_number(value: Any) -> str:
    """One spelling for 54, 54.0 and '54'."""
    try:
        return f'{float(value):g}'
    except ValueError:
        return str(value)
