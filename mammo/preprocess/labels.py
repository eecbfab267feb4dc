"""The cells of users' tables, and the table of labels.

CSV -> frame of stripped text; labels CSV -> Labels by patient, side and exam
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mammo.preprocess.privacy import pseudonym
from mammo.records.tables import read_table

MISSING = frozenset({'', 'na', 'nan', 'null', 'none', '?'})
_SIDES = {'l': 'L', 'left': 'L', 'r': 'R', 'right': 'R'}


@dataclass
class Labels:
    """Labels by patient, side and exam ('' stands for all of them), and the sides that have a tumour."""

    tasks: list[str] = field(default_factory=list)
    rows: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    tumor_sides: dict[str, set[str]] = field(default_factory=dict)


def read_labels(path: Path, key: bytes | None) -> Labels:
    """Read the labels CSV; every column that is not a key or ``tumor_side`` is a task.

    Raises:
        ValueError: a column is missing, a label is not a number, or two rows contradict.
    """
    rows = table(path, ['patient_id'])
    tasks = [
        name for name in rows.columns if name not in ('patient_id', 'laterality', 'exam_id', 'tumor_side')
    ]
    if not tasks:
        raise ValueError(f'{path}: columns are {list(rows.columns)}, expected one more per task')
    labels = Labels(tasks)
    for line, row in enumerate(rows.to_dict('records'), start=2):
        place = f'{path}: row {line}'
        patient = pseudonym('patient', row['patient_id'], key)
        own_side, tumor_side = (side(row.get(name, ''), place) for name in ('laterality', 'tumor_side'))
        known = {t: number(row[t], f'{place}: {t}') for t in tasks if row[t].lower() not in MISSING}
        where = patient, own_side, pseudonym('exam', row.get('exam_id', ''), key)
        if labels.rows.setdefault(where, known) != known:
            raise ValueError(f'{place}: contradicts an earlier row of this patient, side and exam')
        labels.tumor_sides.setdefault(patient, set()).update({tumor_side or own_side} - {''})
    return labels


def table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV as stripped text; ValueError names the columns that are not there."""
    return read_table(path, columns)


def side(value: str, place: str) -> str:
    """L, R, or '' if unknown."""
    if value.lower() in MISSING:
        return ''
    if value.lower() not in _SIDES:
        raise ValueError(f'{place}: laterality is {value!r}, expected L or R')
    return _SIDES[value.lower()]


def number(value: str, place: str) -> float:
    """A finite number."""
    try:
        found = float(value)
    except ValueError:
        found = float('nan')
    if not -float('inf') < found < float('inf'):
        raise ValueError(f'{place} is {value!r}, expected a number, or empty if unknown')
    return found
