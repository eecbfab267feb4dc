"""Prediction records on disk: the one writer and the one validator.

list of records <-> .json, .pkl (plain objects only, nothing is executed) or .csv, the same after a round trip
"""

import json
import math
import os
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from mammo.errors import UserError
from mammo.records.ids import ID_FIELDS, IdError, normal_id, normal_path
from mammo.records.prediction_table import TASK_FIELDS, TEXT_FIELDS, dump_table, load_table
from mammo.records.storage.files import replacing
from mammo.records.storage.plain_pickles import load_plain
from mammo.records.versions import VERSIONS, version_problem

REWRITE = 'write the predictions again with tools/test.py --out-item pred, or as .json or .csv'


class PredictionError(UserError):
    """Predictions that cannot be used; the message names file, record, field, value and remedy."""


CARRIED = ('tumor_side', 'exam_order', 'cohort', 'age', 'density', 'manufacturer', 'site', 'detection')


def carried(item: Mapping[str, Any]) -> dict[str, Any]:
    """What of a meta item goes with its predictions: which images speak, centres and subgroups of the report.

    Example:
        >>> carried(dict(img_path='a.png', cohort='A', clinic_vars=dict(age=61.0, weight=70.0)))
        {'cohort': 'A', 'age': 61.0}
    """
    clinical = item.get('clinic_vars')  # published meta files have a list, whose values have no names
    values = {**clinical, **item} if isinstance(clinical, Mapping) else item
    return {key: values[key] for key in CARRIED if values.get(key) is not None}


def write_predictions(path: str | os.PathLike, records: list[dict]) -> None:
    """Write records, whole or not at all, in the form that the suffix names.

    Raises:
        PredictionError: a record breaks the format, a number is not finite, or the suffix is unknown.
    """
    path = Path(path)
    content = dict(format_version=VERSIONS['predictions'], records=_records(records, path))
    dump, _ = _form(path)
    with replacing(path) as tmp:
        tmp.write_bytes(dump(content))


def read_predictions(path: str | os.PathLike) -> list[dict]:
    """Read and validate records: numbers are float, ids are str or None, unknown labels None.

    Raises:
        PredictionError: the file is missing or broken, of another version, or a record breaks the format.
    """
    path = Path(path)
    _, load = _form(path)
    try:
        content = load(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise PredictionError(f'{path}: no such prediction file; check the path') from None
    except UserError as error:
        raise PredictionError(f'{error}; {REWRITE}') from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise PredictionError(f'{path}: cannot be read: {error}; {REWRITE}') from None
    if not isinstance(content, dict) or 'records' not in content:
        raise PredictionError(f'{path}: no object with "format_version" and "records"; {REWRITE}')
    problem = version_problem('predictions', content.get('format_version'))
    if problem:
        raise PredictionError(f'{path}: {problem}; {REWRITE}')
    return _records(content['records'], path)


def _dump_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b'\n'


def _load_json(data: bytes, place: str) -> Any:
    try:
        return json.loads(data.decode('utf-8-sig'))
    except json.JSONDecodeError as error:
        where = f'line {error.lineno}, column {error.colno}'
        raise PredictionError(f'{place}: not JSON at {where}: {error.msg}') from None


FORMS: dict[str, tuple[Callable[[dict], bytes], Callable[[bytes, str], Any]]] = {
    '.json': (_dump_json, _load_json),
    '.pkl': (partial(pickle.dumps, protocol=4), load_plain),
    '.csv': (dump_table, load_table),
}


def _form(path: Path) -> tuple[Callable, Callable]:
    if path.suffix not in FORMS:
        raise PredictionError(
            f'{path}: suffix {path.suffix!r} is none of {", ".join(FORMS)}; rename the file'
        )
    return FORMS[path.suffix]


def _records(records: Any, path: Path) -> list[dict]:
    if not isinstance(records, list):
        raise PredictionError(f'{path}: "records" is a {type(records).__name__}, expected a list of objects')
    return [_record(record, i, path) for i, record in enumerate(records)]


def _record(record: Any, index: int, path: Path) -> dict[str, Any]:
    place = f'{path}: record {index}'
    if not isinstance(record, dict):
        raise PredictionError(
            f'{place} is {record!r}, expected an object with {", ".join(TEXT_FIELDS)}, tasks'
        )
    place += f' (img_path {record.get("img_path")!r}, patient_id {record.get("patient_id")!r})'
    missing = [key for key in (*TEXT_FIELDS, 'tasks') if key not in record]
    if missing:
        raise PredictionError(f'{place}: {", ".join(missing)} missing; add null where it is unknown')
    if not isinstance(record['tasks'], dict):
        raise PredictionError(
            f'{place}: tasks is {record["tasks"]!r}, expected {{"N": {{"pred_score": 0.4, ...}}}}'
        )
    texts = {key: _text(record[key], f'{place}: {key}') for key in TEXT_FIELDS if key not in ID_FIELDS}
    ids = {key: _id(record[key], f'{place}: {key}') for key in ID_FIELDS if key in record}
    extras = {
        k: _scalar(k, v, f'{place}: {k!r}')
        for k, v in record.items()
        if k not in (*TEXT_FIELDS, *ID_FIELDS, 'tasks')
    }
    tasks = {str(task): _task(values, f'{place}: task {task!r}') for task, values in record['tasks'].items()}
    texts['img_path'] = normal_path(texts['img_path'] or '')
    present = {k: v for k, v in {**ids, **extras}.items() if v is not None or k in TEXT_FIELDS}
    return {**texts, **present, 'tasks': tasks}


def _task(values: Any, place: str) -> dict[str, float | None]:
    if not isinstance(values, dict) or set(values) != set(TASK_FIELDS):
        raise PredictionError(
            f'{place} is {values!r}, expected an object with exactly {", ".join(TASK_FIELDS)}'
        )
    numbers = {key: _number(values[key], f'{place}: {key}') for key in TASK_FIELDS}
    if numbers['pred_score'] is None:
        raise PredictionError(
            f'{place}: pred_score is missing; leave the task out of a record that has no score'
        )
    return numbers


def _text(value: Any, place: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | Integral | None):
        raise PredictionError(f'{place} is {value!r}, expected text or null')
    return None if value is None or value == '' else str(value)


def _id(value: Any, place: str) -> str | None:
    try:
        return normal_id(value, place)
    except IdError as error:
        raise PredictionError(str(error)) from None


def _number(value: Any, place: str) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real | None):
        raise PredictionError(f'{place} is {value!r}, expected a number or null')
    if value is not None and not math.isfinite(value):
        raise PredictionError(
            f'{place} is {value!r}, expected a finite number; find out why the model gave none'
        )
    return None if value is None else float(value)


def _scalar(key: Any, value: Any, place: str) -> str | int | float | bool | None:
    if (
        not isinstance(key, str)
        or key.endswith(tuple(f'_{field}' for field in TASK_FIELDS))
        or key == 'format_version'
    ):
        raise PredictionError(f'{place}: this name belongs to the format; rename the column')
    if isinstance(value, str | bool | None):
        return value if isinstance(value, bool) else _text(value, place)
    if isinstance(value, Integral):
        return int(value)
    if not isinstance(value, Real):
        raise PredictionError(f'{place} is {value!r}, expected text, a number or null')
    return _number(value, place)
