"""Rows of tables and what they are about: what matches nothing is counted, named, and refused if it is much.

ids of two sides -> a warning with the first that match nothing; an error if they are more than one in ten
"""

import logging
from collections.abc import Collection, Sequence
from typing import NamedTuple

from mammo.errors import UserError, listed
from mammo.records.ids import check_look_alikes, is_nobody, normal_id

logger = logging.getLogger(__name__)
LARGEST_SHARE = 0.1  # of a side, that may match nothing


class Unmatched(NamedTuple):
    """What of one side matches nothing on the other."""

    what: str  # of all of them, such as 'rows of labels.csv match no image'
    names: Sequence[str]
    n_all: int  # with those that match

    def __str__(self) -> str:
        return f'{len(self.names)} of {self.n_all} {self.what}: {listed(dict.fromkeys(self.names))}'


def patient_of(cell: str, place: str) -> str:
    """Normal id of a cell that must name a patient.

    Args:
        place: of the row in messages.

    Raises:
        UserError: it names nobody.
    """
    patient = normal_id(cell, f'{place}: patient_id') or ''
    if is_nobody(patient):
        state = f'is {patient!r}, which is nobody in particular' if patient else 'is empty'
        raise UserError(f'{place}: patient_id {state}; remove the row, or say whose it is')
    return patient


def check_patients(
    rows: Collection[str], images: Collection[str], table: str, *, allow: bool, strict: bool = False
) -> None:
    """Tell of patients of a table and of images that do not match, and of ids that look alike.

    Args:
        rows: ids of the table; ``images`` those of the patients with images.
        table: its name in messages.

    Raises:
        UserError: more than one in ten match nothing, unless ``allow``; or ids look alike, and ``strict``.
    """
    check_look_alikes({*rows, *images}, f'{table} and images', strict=strict)
    check_unmatched(
        Unmatched(f'rows of {table} match no image', sorted(set(rows) - set(images)), len(rows)),
        Unmatched(
            f'patients with images match no row of {table}', sorted(set(images) - set(rows)), len(images)
        ),
        allow=allow,
    )


def check_unmatched(*sides: Unmatched, allow: bool) -> None:
    """Tell what matches nothing.

    Args:
        allow: whether more than one in ten may.

    Raises:
        UserError: they may not.
    """
    lacking = [side for side in sides if side.names]
    if any(len(side.names) > LARGEST_SHARE * side.n_all for side in lacking) and not allow:
        raise UserError(
            f'{"; ".join(map(str, lacking))}. Correct the ids (leading zeros lost?), or go on without them: '
            '--allow-unmatched'
        )
    for side in lacking:
        logger.warning('%s', side)
