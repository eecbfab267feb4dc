"""Identity of patients, exams, sites and image paths: one normal form wherever they stand.

value of a table, JSON or header -> text, equal exactly if it means the same one; ids -> those that look alike
"""

import logging
import math
import re
import unicodedata
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from mammo.errors import UserError, listed

logger = logging.getLogger(__name__)
MISSING = frozenset({'', 'na', 'n/a', '#n/a', 'nan', 'null', 'none', '?'})  # in any case
NOBODY = frozenset(
    {'anon', 'anonymized', 'anonymised', 'anonymous', 'none', 'unknown', 'deidentified', 'removed'}
)
LARGEST_EXACT = 2**53  # from here on a float no longer tells neighbouring whole numbers apart
ID_FIELDS = ('patient_id', 'exam_id', 'cohort')  # of images and predictions
LOOK_ALIKE = 'differ only by case, blanks, leading zeros or punctuation, or look alike'

# shows nothing, yet is no control, format or space character (Default_Ignorable, and the Braille blank)
_UNSEEN = frozenset('\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0') | {
    chr(code) for start, stop in ((0x180B, 0x1810), (0xFE00, 0xFE10)) for code in range(start, stop)
}
_WHOLE = re.compile(r'([+-]?[0-9]+)\.0+')
_ROUNDED = re.compile(r'[+-]?[0-9]([.,][0-9]+)?[eE]\+[0-9]+')  # as programs show a long number
_TOKEN = re.compile(r'\d+|[^\W\d_]+')
_RUN = re.compile(r'[^\W_]+')
# Cyrillic and Greek letters, and o, i, l for digits, in small letters
_SHAPES = str.maketrans('авекмнорстухіјѕαβεζηικμνορτυχoil', 'abekmh0pctyx1jsabezh1kmn0ptyx011')  # noqa: RUF001


class IdError(UserError):
    """A value that cannot identify anybody."""


class InexactIdError(IdError):
    """A number that was rounded before it was read: different patients may have become one."""


def clean(text: str) -> str:
    r"""Text without blanks and invisible characters at its ends.

    Example:
        >>> clean('\ufeff P 1\u200b\xa0')
        'P 1'
    """
    if text.isascii() and text.isalnum():  # of a million ids, nearly all
        return text
    start, stop = 0, len(text)
    while start < stop and _is_unseen(text[start]):
        start += 1
    while stop > start and _is_unseen(text[stop - 1]):
        stop -= 1
    return text[start:stop]


def is_missing(text: str) -> bool:
    """Whether a cell says that its value is not known."""
    return text.lower() in MISSING


def is_nobody(name: str) -> bool:
    """Whether an id says that nobody knows whose it is: several patients may have it."""
    has_sign = name.isalnum() or any(map(str.isalnum, name))  # the first alone for nearly all of a million
    return is_missing(name) or name.casefold() in NOBODY or not has_sign


def normal_id(value: Any, place: str = 'id') -> str | None:
    r"""Bring an id to its normal form; None if it is missing (None, NaN, empty).

    Text in Unicode NFC, without blanks or invisible characters at its ends; whole numbers exact at any
    length; ``1.0``, as tables write it beside gaps, is ``1``. Leading zeros are part of an id.

    Args:
        place: how a message names the value, such as ``meta.json: item 3: 'patient_id'``.

    Raises:
        IdError: neither text nor a number, or text that cannot be written.
        InexactIdError: a float of 2^53 or more, or text that shows one, as ``1.23457E+11``.

    Example:
        >>> normal_id(' 042 '), normal_id(7.0), normal_id('1.0'), normal_id('Mu\u0308ller') == 'Müller'
        ('042', '7', '1', True)
    """
    if isinstance(value, str):
        return _normal_text(value, place)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise IdError(f'{place} is {value!r}, expected text or a number')
    if isinstance(value, Integral):
        return str(int(value))
    number = float(value)
    if math.isnan(number):
        return None
    _refuse_long(number, value, place)
    return str(int(number)) if number.is_integer() else str(number)


def normal_path(path: str) -> str:
    """One spelling of a relative or absolute POSIX path; its parts ``..`` stay, and so does an address.

    Example:
        >>> normal_path('./png//a.png'), normal_path('/data/./a.png')
        ('png/a.png', '/data/a.png')
    """
    if ('//' not in path and './' not in path and path != '.' and not path.endswith('/.')) or '://' in path:
        return path
    parts = [part for part in path.split('/') if part not in ('', '.')]
    return ('/' if path.startswith('/') else '') + '/'.join(parts)


def look_alikes(ids: Iterable[str]) -> list[list[str]]:
    """Groups of normal ids that only case, inner blanks, leading zeros, punctuation or shapes tell apart.

    Example:
        >>> look_alikes(['MAL_2014', 'mal-2014', '042', '42', 'P1'])
        [['042', '42'], ['MAL_2014', 'mal-2014']]
    """
    groups: dict[Any, set[str]] = {}
    for name in set(ids):
        folded = unicodedata.normalize('NFKC', name).casefold()
        words = _TOKEN.findall(folded)
        if words:
            # 1-11 and 11-1 are two; 111 looks like either, which is why it is grouped with both
            groups.setdefault(tuple(word.lstrip('0') or '0' for word in words), set()).add(name)
            groups.setdefault(''.join(words), set()).add(name)
            groups.setdefault(('shapes', *_RUN.findall(folded.translate(_SHAPES))), set()).add(name)
    alike = {frozenset(group) for key, group in groups.items() if len(group) > 1 and _is_suspect(key, group)}
    largest = [group for group in alike if not any(group < other for other in alike)]
    return sorted(sorted(group) for group in largest)


def check_look_alikes(ids: Iterable[str], place: str, *, strict: bool = False) -> None:
    """Warn of ids that look alike, and name them.

    Args:
        place: where they stand, such as a file name.
        strict: refuse them instead.

    Raises:
        UserError: ``strict``, and two ids look alike.
    """
    groups = [' and '.join(map(repr, group)) for group in look_alikes(ids)]
    if not groups:
        return
    message = f'{place}: ids that {LOOK_ALIKE}: {listed(groups)}; if it is one, write one id'
    if strict:
        raise UserError(message)
    logger.warning('%s', message)


def _normal_text(text: str, place: str) -> str | None:
    if text.isascii() and text.isalnum():
        return str(text)
    text = clean(unicodedata.normalize('NFC', text))
    if any(unicodedata.category(character) == 'Cs' for character in text):
        raise IdError(f'{place} is {text!r}, which holds half a character; correct it')
    whole = _WHOLE.fullmatch(text)
    if whole:
        _refuse_long(int(whole[1]), text, place)
    if _ROUNDED.fullmatch(text):
        raise InexactIdError(
            f'{place} is {text!r}, a long number rounded by a spreadsheet; format the column as text and '
            'enter the ids again'
        )
    return (whole[1] if whole else text) or None


def _refuse_long(number: float, value: Any, place: str) -> None:
    if abs(number) >= LARGEST_EXACT:
        raise InexactIdError(
            f'{place} is {value!r}, a number too long to be exact; write ids of more than 15 digits as text'
        )


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character)[0] in 'ZC' or character in _UNSEEN


def _is_suspect(key: Any, group: set[str]) -> bool:
    """Words that agree always; letters and digits without their borders only if one id has no borders."""
    return isinstance(key, tuple) or any(name.isalnum() for name in group)
