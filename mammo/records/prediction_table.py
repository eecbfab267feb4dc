"""Predictions as a table: one row per record, a column per field and three per task, format_version last.

dict(format_version, records) <-> bytes of a CSV; other forms of tables are read too
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from mammo.records.ids import ID_FIELDS, clean
from mammo.records.tables.header import TableError, check_columns
from mammo.records.tables.numerals import NumberError, decimal_points, number, plain_values
from mammo.records.tables.reading import parse_table
from mammo.records.versions import VERSIONS

TEXT_FIELDS = ('img_path', 'patient_id', 'exam_id', 'view', 'laterality')
TASK_FIELDS = ('logit', 'pred_score', 'gt_label')
VERSION = 'format_version'


def dump_table(content: dict[str, Any]) -> bytes:
    """Content -> CSV."""
    rows = [_flat(record) | {VERSION: content[VERSION]} for record in content['records']]
    columns = dict.fromkeys([*TEXT_FIELDS, *(key for row in rows for key in row if key != VERSION)])
    out = io.StringIO(newline='')
    writer = csv.DictWriter(out, [*columns, VERSION], lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def load_table(data: bytes, place: str) -> dict[str, Any]:
    """Table -> content; an empty cell is None, a column that belongs to no task a further field.

    Raises:
        UserError: the table cannot be read, a column is missing, or a score is no number.
    """
    rows = parse_table(data, place, kept=None, min_rows=0)
    columns = [str(name) for name in rows.columns]
    tasks = dict.fromkeys(
        name.removesuffix(f'_{f}') for name in columns for f in TASK_FIELDS if name.endswith(f'_{f}')
    )
    scores = [f'{task}_{field}' for task in tasks for field in TASK_FIELDS]
    check_columns(columns, [*TEXT_FIELDS, *scores], place)
    values = {name: _numbers(rows[name], f'{place}: column {name}') for name in scores}
    further = [name for name in columns if name not in (*TEXT_FIELDS, *scores, VERSION)]
    fields = {name: [_text(cell) for cell in rows[name]] for name in TEXT_FIELDS}
    fields |= {name: [_value(name, cell) for cell in rows[name]] for name in further}
    records = [
        {name: cells[i] for name, cells in fields.items()} | dict(tasks=_tasks(tasks, values, i))
        for i in range(len(rows))
    ]
    odd = [cell for cell in rows.get(VERSION, ()) if cell not in ('', str(VERSIONS['predictions']))]
    return {VERSION: odd[0] if odd else VERSIONS['predictions'], 'records': records}


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    texts = {key: _text_cell(record[key]) for key in TEXT_FIELDS}
    further = {k: _cell(k, v) for k, v in record.items() if k not in (*TEXT_FIELDS, 'tasks')}
    tasks = {f'{task}_{field}': v for task, values in record['tasks'].items() for field, v in values.items()}
    return {**texts, **tasks, **further}


def _tasks(tasks: Sequence[str] | dict, values: dict[str, list[float | None]], i: int) -> dict[str, dict]:
    """Scores of a record; a task without any is left out."""
    scores = {task: {field: values[f'{task}_{field}'][i] for field in TASK_FIELDS} for task in tasks}
    return {task: fields for task, fields in scores.items() if any(v is not None for v in fields.values())}


def _numbers(column: pd.Series, place: str) -> list[float | None]:
    cells = zip(column.index, decimal_points(list(column)), strict=True)
    try:
        return [number(cell, f'row {line}') if cell else None for line, cell in cells]
    except NumberError as error:
        raise TableError(f'{place}: {error}') from None


def _text_cell(text: str | None) -> str | None:
    """Text stands bare unless a reader of tables would change it; then as JSON."""
    is_bare = text is None or (text == clean(text) and text.isprintable() and not text.startswith('"'))
    return text if is_bare else json.dumps(text)


def _text(cell: str) -> str | None:
    return _json(cell) if cell.startswith('"') else cell or None


def _cell(name: str, value: Any) -> str | None:
    """A scalar as text that ``_value`` turns back."""
    if isinstance(value, str):
        return _text_cell(value) if _value(name, value) == value else json.dumps(value)
    return json.dumps(value)


def _value(name: str, cell: str) -> Any:
    """A further field: an id, text in quotes, true, false, a number as numbers are written, else text."""
    if name in ID_FIELDS or cell.startswith('"'):
        return _text(cell)
    value = _json(cell)
    is_written = isinstance(value, int | float) and math.isfinite(value) and json.dumps(value) == cell
    return value if is_written else plain_values([cell])[0]


def _json(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:  # not JSON, or a number of thousands of digits
        return cell
