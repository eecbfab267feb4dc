"""One item of a meta file: its image path, labels and ids, checked and in their normal form.

item as it was parsed -> the same, changed in place
"""

import math
from typing import Any

from mammo.errors import UserError
from mammo.records.ids import ID_FIELDS, is_missing, is_nobody, normal_id, normal_path

LARGEST_LABEL = 3.4e38  # labels become float32
_SIDES = {'l': 'L', 'left': 'L', 'r': 'R', 'right': 'R'}


class MetaError(UserError):
    """A meta file that cannot be used; the message names file, item, field, value and remedy."""


def check_path(name: str, place: str) -> None:
    """Refuse a path that no data set needs; the data are somebody else's more often than not.

    An absolute path is taken as it is: it shows where it leads, and is how lists over several disks are
    written. ``..`` is refused wherever it stands, since what it leads to depends on links and folders.

    Raises:
        MetaError: the path has a part ``..`` or a zero byte.
    """
    if ('..' in name and '..' in name.split('/')) or '\0' in name:
        raise MetaError(
            f'{place}: the image path is {name!r}, expected one inside data_root, without ".."; '
            'set data_root to a folder that holds all images, or write an absolute path'
        )


def check_item(item: Any, place: str, declared: set[str] | None, respelled: dict[str, str]) -> dict[str, Any]:
    """Check an item, and bring its labels and ids to their types -> its labels as they stood.

    Ids that had another spelling than their normal form are noted in ``respelled``.
    """
    if not isinstance(item, dict):
        raise MetaError(f'{place} is {item!r}, expected an object with "img_path"')
    name = item.get('img_path')
    path = item['img_path'] = normal_path(name) if isinstance(name, str) else ''
    if not path:
        raise MetaError(f'{place}: "img_path" is {name!r}, expected a path relative to data_root')
    check_path(path, place)
    labels = {} if item.get('gt_label') is None else item['gt_label']
    if not isinstance(labels, dict):
        raise MetaError(f'{place}: "gt_label" is {labels!r}, expected an object such as {{"N": 1}}')
    kept = item['gt_label'] = {}
    for task, value in labels.items():
        if declared is not None and task not in declared:
            raise MetaError(
                f'{place}: task {task!r} (value {value!r}) is not in metainfo.tasks {sorted(declared)}; '
                'add it there or remove the label'
            )
        usual = type(value) in (int, float) and abs(value) <= LARGEST_LABEL  # of a million items, nearly all
        label = float(value) if usual else _label(value, f'{place}: task {task!r}')
        if label is not None:
            kept[task] = label
    for key in ID_FIELDS:
        value = item.get(key)
        is_plain = type(value) is str and value.isascii() and value.isalnum()  # so it is in its normal form
        if value is not None and not is_plain:
            item[key] = normal_id(value, f'{place}: {key!r}')
            if isinstance(value, str) and value != item[key]:
                respelled[value] = item[key] or ''
    _check_whose(item, place)
    return labels


def _check_whose(item: dict[str, Any], place: str) -> None:
    """What decides which images speak for whom: a side or an order that is none would count as unknown."""
    patient, order = item.get('patient_id'), item.get('exam_order')
    if patient is not None and is_nobody(patient):
        raise MetaError(f'{place}: "patient_id" is {patient!r}, which names nobody; write null if unknown')
    for key in ('laterality', 'tumor_side'):
        value = item.get(key)
        if value not in (None, 'L', 'R'):
            item[key] = side(str(value), f'{place}: {key}') or None
    if order is not None and type(order) not in (int, float):
        raise MetaError(f'{place}: "exam_order" is {order!r}, expected a number, or null if unknown')


def side(value: str, place: str) -> str:
    """L, R, or '' if unknown.

    Raises:
        MetaError: the text is none of them.
    """
    if is_missing(value):
        return ''
    if value.lower() not in _SIDES:
        raise MetaError(f'{place} is {value!r}, expected L or R')
    return _SIDES[value.lower()]


def _label(value: Any, place: str) -> float | None:
    """One label as float, None if missing; a list of one number counts as that number."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    if not isinstance(value, int | float) or abs(value) > LARGEST_LABEL:
        raise MetaError(f'{place} has value {value!r}, expected a finite number, or null if unknown')
    return None if math.isnan(value) else float(value)
