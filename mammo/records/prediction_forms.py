"""The three forms of prediction records: .json, .pkl and .csv hold the same object.

dict(format_version, records) <-> bytes; a pickle is read without executing anything
"""

import csv
import io
import json
import pickle
from pathlib import Path
from typing import Any

from mammo.errors import UserError, listed
from mammo.records.pickles import asks_for_too_much, imported_names

FORMAT_VERSION = 1
TEXT_FIELDS = ('img_path', 'patient_id', 'exam_id', 'view', 'laterality')
TASK_FIELDS = ('logit', 'pred_score', 'gt_label')
REWRITE = 'write the predictions again with tools/test.py --out-item pred, or as .json or .csv'
# what a malformed pickle raises, beside UnpicklingError, before it is known to be malformed
PICKLE_FAULTS = (
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


class PredictionError(UserError):
    """Predictions that cannot be used; the message names file, record, field, value and remedy."""


class PlainUnpickler(pickle.Unpickler):
    """Reads lists, dicts, numbers and strings; whatever would import a name is refused."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f'it holds {module_name}.{global_name}')


def dump_json(content: dict) -> bytes:
    """Content -> JSON bytes."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b'\n'


def load_json(data: bytes, path: Path) -> Any:
    """JSON bytes -> whatever they hold."""
    try:
        return json.loads(data.decode('utf-8-sig'))
    except json.JSONDecodeError as error:
        place = f'line {error.lineno}, column {error.colno}'
        raise PredictionError(f'{path}: not JSON at {place}: {error.msg}; {REWRITE}') from None


def dump_pickle(content: dict) -> bytes:
    """Content -> pickle of plain objects."""
    return pickle.dumps(content, protocol=4)


def load_pickle(data: bytes, path: Path) -> Any:
    """Pickle of plain objects -> whatever it holds."""
    try:
        if asks_for_too_much(data):
            raise pickle.UnpicklingError('it asks for more memory than it has content')
        return PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, *PICKLE_FAULTS) as error:
        names = sorted(set(imported_names(io.BytesIO(data))))
        found = f'it holds {listed(names)}, which could run code when loaded' if names else str(error)
        raise PredictionError(f'{path}: refused, not a pickle of plain values: {found}; {REWRITE}') from None


def dump_csv(content: dict) -> bytes:
    """Content -> one CSV row per record, columns as in DESIGN 5, format_version last."""
    rows = [_flat(record) | {'format_version': FORMAT_VERSION} for record in content['records']]
    columns = list(
        dict.fromkeys([*TEXT_FIELDS, *(key for row in rows for key in row if key != 'format_version')])
    )
    out = io.StringIO(newline='')
    writer = csv.DictWriter(out, [*columns, 'format_version'], lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _flat(record: dict) -> dict[str, Any]:
    texts = {key: record[key] for key in TEXT_FIELDS}
    extras = {k: _cell(v) for k, v in record.items() if k not in (*TEXT_FIELDS, 'tasks')}
    tasks = {f'{task}_{field}': v for task, values in record['tasks'].items() for field, v in values.items()}
    return {**texts, **tasks, **extras}


def _cell(value: Any) -> str:
    """A scalar as text that ``_value`` turns back: text stands bare unless it would read as a number."""
    return value if isinstance(value, str) and _value(value) == value else json.dumps(value)


def _value(cell: str) -> Any:
    try:
        value = json.loads(cell)
    except ValueError:  # not JSON, or a number of thousands of digits
        return cell
    return value if isinstance(value, str | int | float) else cell


def load_csv(data: bytes, path: Path) -> dict[str, Any]:
    """CSV bytes -> content; an empty cell is None, a column that belongs to no task an extra field."""
    rows = csv.DictReader(io.StringIO(data.decode('utf-8-sig'), newline=''), restkey='', strict=True)
    columns = list(rows.fieldnames or ())
    tasks = list(
        dict.fromkeys(c.removesuffix(f'_{f}') for c in columns for f in TASK_FIELDS if c.endswith(f'_{f}'))
    )
    needed = [*TEXT_FIELDS, *(f'{task}_{field}' for task in tasks for field in TASK_FIELDS)]
    missing = [column for column in needed if column not in columns]
    if missing or len(set(columns)) < len(columns):
        wrong = f'column {", ".join(missing)} missing' if missing else 'a column twice'
        raise PredictionError(f'{path}: {wrong}, found {", ".join(columns)}; correct the first line')
    records, versions = [], [str(FORMAT_VERSION)]
    for row in rows:
        place = f'{path}: line {rows.line_num}'
        if '' in row or None in row.values():
            raise PredictionError(
                f'{place} has not the {len(columns)} cells of the first line; is the file cut short?'
            )
        versions.append(row.pop('format_version', versions[0]))
        records.append(_unflat(row, tasks, needed, place))
    odd = [version for version in versions if version != versions[0]]
    return dict(format_version=odd[0] if odd else FORMAT_VERSION, records=records)


def _unflat(row: dict[str, str], tasks: list[str], needed: list[str], place: str) -> dict[str, Any]:
    extras = {key: _value(cell) if cell else None for key, cell in row.items() if key not in needed}
    cells = {task: {field: row[f'{task}_{field}'] for field in TASK_FIELDS} for task in tasks}
    scores = {
        task: {field: _parse(cell, f'{place}: {task}_{field}') for field, cell in values.items()}
        for task, values in cells.items()
        if any(values.values())
    }
    return {**{key: row[key] for key in TEXT_FIELDS}, **extras, 'tasks': scores}


def _parse(cell: str, place: str) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        raise PredictionError(f'{place} is {cell!r}, expected a number or an empty cell') from None


FORMS = {'.json': (dump_json, load_json), '.pkl': (dump_pickle, load_pickle), '.csv': (dump_csv, load_csv)}
