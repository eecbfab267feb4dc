"""The header of a table: columns that are missing, there twice, or not spelt as they are read.

names of columns, those that a reader knows -> nothing, or an error that names the column and the remedy
"""

import difflib
import logging
from collections import Counter
from collections.abc import Collection, Sequence

from mammo.errors import UserError, listed

logger = logging.getLogger(__name__)


class TableError(UserError):
    """A table that cannot be used; the message names file, line, column, value and remedy."""


def check_header(header: list[str], place: str, needed: Sequence[str], kept: Collection[str]) -> None:
    """See that the columns are those that a reader asks for, each once and in its spelling; '' has no name.

    Args:
        kept: columns that are read if they are there.

    Raises:
        TableError: one is missing, there twice, or spelt unlike one of ``kept``.
    """
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        places = [i for i, name in enumerate(header, start=1) if name == twice[0]]
        raise TableError(
            f'{place}: column {twice[0]!r} is there {len(places)} times (columns {listed(places)}); '
            'keep or rename one'
        )
    check_columns(list(filter(None, header)), needed, place)
    _check_spelling(header, {*needed, *kept}, place)


def _check_spelling(header: list[str], declared: set[str], place: str) -> None:
    """A declared column in another spelling would go unread, or as something else, without a word."""
    absent = {_letters(name): name for name in declared if name not in header}
    others = [name for name in header if name and name not in declared]
    near = {name: absent[_letters(name)] for name in others if _letters(name) in absent}
    if near:
        pairs = listed(f'{name!r} to {wanted!r}' for name, wanted in near.items())
        raise TableError(f'{place}: columns are read by their exact names; rename {pairs}')
    by_case = Counter(name.casefold() for name in header if name)
    alike = [name for name in header if by_case[name.casefold()] > 1]
    if alike:
        logger.warning('%s: columns that differ only by case: %s; each is read as one', place, listed(alike))


def _letters(name: str) -> str:
    return ''.join(filter(str.isalnum, name.casefold())).replace('tumour', 'tumor')


def check_columns(columns: Collection[str], needed: Sequence[str], place: str) -> None:
    """See that columns are there.

    Raises:
        TableError: one is missing; it names what looks like it.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        by_case = {name.casefold(): name for name in columns}
        near = difflib.get_close_matches(missing[0].casefold(), by_case, n=1)
        hint = f'; rename {by_case[near[0]]!r}?' if near else ''
        raise TableError(f'{place}: column {missing} is missing, found {list(columns)}{hint}')
