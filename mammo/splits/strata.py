"""Groups of images that folds keep together, mostly patients, and the strata that folds balance.

meta items, names of labels or fields -> items by group; text per group, such as '1.0 | site_b'
"""

import os
from collections import Counter
from collections.abc import Sequence
from numbers import Real
from typing import Any

import pandas as pd

from mammo.errors import UserError, listed
from mammo.leaks import check_spelling, named_by_content, refuse_shared, traces_of
from mammo.records.ids import check_look_alikes

MAX_STRATA = 5  # a number with more values than this is cut at its quartiles
UNKNOWN = 'unknown'


class Images:
    """Images by group.

    Args:
        labelled_only: leave images without a label out of train and val; a test part keeps them.
    """

    def __init__(self, items: Sequence[dict], group: str, *, labelled_only: bool = False) -> None:
        self.labelled_only = labelled_only
        self.by_group: dict[str, list[tuple[int, dict]]] = {}
        for place, item in enumerate(items):
            self.by_group.setdefault(str(item.get(group)), []).append((place, item))

    def of(self, part: str, groups: frozenset[str] | set[str]) -> list[dict]:
        """Items of these groups, in the order of the meta file."""
        placed = [pair for group in groups for pair in self.by_group[group]]
        items = [item for _, item in sorted(placed, key=lambda pair: pair[0])]
        leave_out = self.labelled_only and part in ('train', 'val')
        return [item for item in items if item.get('gt_label')] if leave_out else items


def group_strata(
    items: Sequence[dict], group: str, stratify: Sequence[str] = (), unit: str = 'patient'
) -> pd.Series:
    """One stratum per group, sorted by its id.

    Args:
        group: field that keeps images together.
        stratify: tasks, of which the highest label counts, or fields such as ``cohort``.
        unit: ``breast``: the labels of each breast count, so that folds share the rate of breasts.

    Raises:
        UserError: an item has no ``group``, or no side for ``breast``; no item has a label or field.
    """
    groups, sides = _groups(items, group), _sides(items, unit)
    strata = pd.Series('', index=sorted(set(groups)))
    for name in stratify:
        table = pd.DataFrame(dict(group=groups, side=sides, value=_values(items, name)))
        column = _one_per_group(table)
        strata = strata + (' | ' if name != stratify[0] else '') + column
    return strata if len(stratify) else strata.replace('', UNKNOWN)


def patient_of(item: dict, group: str) -> str:
    """Whom an item shows: the patient, or without one the group."""
    return str(item.get('patient_id') or item.get(group))


def check_groups(
    items: Sequence[dict], group: str, folder: str | os.PathLike, *, strict: bool = False
) -> None:
    """See that whatever may be split is apart: no patient, image or study in two groups.

    Args:
        folder: of the images.
        strict: refuse ids and cohorts that hardly differ, instead of a warning.

    Raises:
        UserError: some are, as patients with ``exam_id`` as the group; they would be on two sides.
    """
    copies = [path for path, count in Counter(item['img_path'] for item in items).items() if count > 1]
    if copies:
        raise UserError(f'{len(copies)} images are there more than once: {listed(copies)}; keep one of each')
    groups: dict[str, set[str]] = {}
    for item in items:
        groups.setdefault(patient_of(item, group), set()).add(str(item.get(group)))
    torn = sorted(patient for patient, names in groups.items() if len(names) > 1)
    if torn:
        raise UserError(
            f'--group {group}: {len(torn)} patients have images in more than one {group} and would be on two '
            f'sides: {listed(torn)}; group by patient_id, or by a field that keeps each patient together'
        )
    by_group = Images(items, group).by_group
    sides = {name: traces_of((item for _, item in pairs), folder) for name, pairs in by_group.items()}
    check_spelling(sides, 'patients', strict=strict)
    cohorts = {str(item['cohort']) for item in items if item.get('cohort')}
    check_look_alikes(cohorts, 'cohorts', strict=strict)
    refuse_shared(named_by_content(sides))


def _groups(items: Sequence[dict], group: str) -> list[str]:
    for i, item in enumerate(items):
        if item.get(group) in (None, ''):
            raise UserError(
                f'item {i} ({item.get("img_path")}): {group!r} is {item.get(group)!r}; every image '
                'needs one, or a patient may end on two sides'
            )
    return [str(item[group]) for item in items]


def _sides(items: Sequence[dict], unit: str) -> list[str]:
    if unit == 'patient':
        return [''] * len(items)
    sides = [str(item.get('laterality')) for item in items]
    unclear = [
        str(item.get('img_path')) for item, side in zip(items, sides, strict=True) if side not in ('L', 'R')
    ]
    if unclear:
        raise UserError(
            f'--unit {unit}: {len(unclear)} images have no laterality L or R: {listed(unclear)}; write it '
            'into the meta file, or take --unit patient'
        )
    return sides


def _values(items: Sequence[dict], name: str) -> list[Any]:
    tasks = {task for item in items for task in item.get('gt_label') or {}}
    if name in tasks:
        return [(item.get('gt_label') or {}).get(name) for item in items]
    values = [item.get(name) for item in items]
    if all(value in (None, '') for value in values):
        fields = sorted({key for item in items for key in item} - {'gt_label'})
        raise UserError(
            f'--stratify {name}: no item has such a label or field; there are {sorted(tasks)} and {fields}'
        )
    return values


def _one_per_group(table: pd.DataFrame) -> pd.Series:
    """Columns group, side, value of images -> the stratum of each group."""
    values = table.value.dropna()
    if values.map(lambda value: isinstance(value, Real) and not isinstance(value, bool)).all():
        cases = table.astype({'value': float}).groupby(['group', 'side']).value.max()
        if cases.nunique() > MAX_STRATA:
            cases = pd.qcut(cases, 4, labels=False, duplicates='drop')
        texts = cases.map(str, na_action='ignore').fillna(UNKNOWN)
    else:
        words = table.value.fillna(UNKNOWN).map(str).groupby([table.group, table.side])
        texts = words.agg(lambda values: '+'.join(sorted(set(values))))
    return texts.groupby('group').agg(lambda sides: '+'.join(sorted(sides)))
