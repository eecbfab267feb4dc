"""The table of labels, and how its rows join the images.

table -> Labels by patient, side and exam; Labels, meta items -> labels in the items, what matches nothing
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mammo.errors import UserError, listed
from mammo.preprocess.privacy import is_personal, pseudonym
from mammo.records.ids import check_look_alikes, is_missing
from mammo.records.meta_items import side
from mammo.records.tables.matching import Unmatched, check_unmatched, patient_of
from mammo.records.tables.numerals import contents, doubtful_codes, numbers
from mammo.records.tables.reading import read_table

logger = logging.getLogger(__name__)
KEYS = ('patient_id', 'laterality', 'exam_id', 'tumor_side')  # every other column is a task
SIDE_WORDS = ('side', 'breast', 'breast_side', 'lat', 'seite')  # as a task, of both breasts
Key = tuple[str, str, str]  # patient, side, exam; '' stands for all of them


@dataclass
class Labels:
    """Labels by patient, side and exam, and the sides that have a tumour."""

    place: str = ''  # name of the table
    tasks: list[str] = field(default_factory=list)
    rows: dict[Key, dict[str, float]] = field(default_factory=dict)
    tumor_sides: dict[str, set[str]] = field(default_factory=dict)
    names: dict[Key, str] = field(default_factory=dict)  # of the first row with this key, in messages
    matched: set[Key] = field(default_factory=set)  # by an image that was joined

    def join(self, item: dict[str, Any], exams: Sequence[str]) -> None:
        """Write labels and tumor side into a meta item, whose exam may have several ids."""
        patient = item['patient_id']
        for exam in ('', *exams):  # from general to special: the row that says most wins
            for breast in dict.fromkeys(('', item.get('laterality', ''))):
                key = patient, breast, exam
                if key in self.rows:
                    self.matched.add(key)
                    item['gt_label'] = item['gt_label'] | self.rows[key]
        sides = self.tumor_sides.get(patient, set())
        if sides and not {item.get('tumor_side', '')} <= {*sides, ''}:
            raise UserError(
                f'{self.place}: the tumor side of {patient} is {listed(sorted(sides))}, and '
                f'{item["tumor_side"]} in the table of images; correct one of them'
            )
        if len(sides) == 1:  # with tumours on both sides either breast may decide
            item['tumor_side'] = next(iter(sides))


def read_labels(path: Path, key: bytes | None) -> Labels:
    """Read the table; every column that is no key is a task.

    Raises:
        UserError: a column is missing, a label is not a number, or two rows contradict.
    """
    rows = read_table(path, ['patient_id'], kept=KEYS)
    tasks = [name for name in rows.columns if name not in KEYS]
    if not tasks:
        raise UserError(f'{path}: columns are {list(rows.columns)}, expected one more per task')
    sides = [task for task in tasks if task.casefold() in SIDE_WORDS]
    if sides:
        raise UserError(
            f'{path}: column {sides[0]} would be a task; if it tells the breast of a row, rename it to '
            'laterality, or to tumor_side if it tells where the tumor is; else give it another name'
        )
    personal = [task for task in tasks if key and is_personal(task, '')]
    if personal:
        raise UserError(
            f'{path}: column {personal[0]} may tell who somebody is; with --id-key, take it out or rename it'
        )
    values = pd.DataFrame({task: numbers(rows[task], f'{path}: column {task}') for task in tasks})
    labels = Labels(Path(path).name, tasks)
    for line, row in zip(rows.index, rows.to_dict('records'), strict=True):
        place = f'{path}: row {line}'
        patient = patient_of(row['patient_id'], place)
        breast, tumor_side = sides_of(row, place)
        exam = row.get('exam_id', '')
        exam = '' if is_missing(exam) else pseudonym('exam', exam, key)
        where = pseudonym('patient', patient, key), breast, exam
        present = values.loc[line].dropna().to_dict()
        _refuse_contradiction(labels.rows.setdefault(where, present), present, place)
        labels.names.setdefault(where, f'row {line}' if key else f'{patient} (row {line})')
        labels.tumor_sides.setdefault(where[0], set()).update({tumor_side} - {''})
    _tell(values, labels.place)
    return labels


def sides_of(row: Mapping[Any, str], place: str) -> tuple[str, str]:
    """Breast that a row of labels is about, and side of the tumor: that breast, where it is not told.

    Raises:
        UserError: one of them is no side.
    """
    breast, tumor_side = (side(row.get(n, ''), f'{place}: {n}') for n in ('laterality', 'tumor_side'))
    return breast, tumor_side or breast


def _tell(values: pd.DataFrame, place: str) -> None:
    """Say what the tasks are, and what may be a code in them."""
    logger.info('%s: %s', place, '; '.join(f'{task} {contents(values[task])}' for task in values))
    for task in values:
        if doubt := doubtful_codes(values[task]):
            logger.warning('%s: column %s: %s', place, task, doubt)


def _refuse_contradiction(earlier: dict[str, float], row: dict[str, float], place: str) -> None:
    differ = [task for task in earlier | row if earlier.get(task) != row.get(task)]
    if differ:
        pairs = listed(f'{task} is {_shown(row, task)} and was {_shown(earlier, task)}' for task in differ)
        raise UserError(
            f'{place}: contradicts an earlier row of this patient, side and exam: {pairs}; keep one row'
        )


def _shown(row: dict[str, float], task: str) -> str:
    return f'{row[task]:g}' if task in row else 'unknown'


def check_labels(
    labels: Labels, items: Sequence[dict], *, key: bytes | None, allow: bool, strict: bool
) -> str:
    """Tell which rows match no image, which images no row, and which ids look alike -> counts in words.

    Args:
        items: that ``labels.join`` has seen.
        key: of pseudonyms, which never look alike.
        allow: let more than one in ten rows or images match nothing.
        strict: refuse ids that look alike.

    Raises:
        UserError: too many match nothing, or ``strict``.
    """
    ids = {item['patient_id'] for item in items}
    patients = {patient for patient, _, _ in labels.rows}
    if not key:
        check_look_alikes(ids | patients, 'patients of the images and labels', strict=strict)
    words = f'{len(items)} images of {len(ids)} patients'
    if not labels.rows:
        return words
    rows = [name for where, name in labels.names.items() if where not in labels.matched]
    images = [item['patient_id'] for item in items if item['patient_id'] not in patients]
    check_unmatched(
        Unmatched(f'rows of {labels.place} match no image', rows, len(labels.rows)),
        Unmatched(f'images match no row of {labels.place}', images, len(items)),
        allow=allow,
    )
    labelled = sum(bool(item['gt_label']) for item in items)
    return f'{words}, {labelled} labelled, {len(rows)} rows of labels unmatched'
