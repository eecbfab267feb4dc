"""Numbers in text: what is a number, what only looks like one, and decimal commas.

cells of a declared column -> float, or one message; of any other column -> all numbers, or all text
"""

import math
import re
from collections.abc import Iterable, Sequence

import pandas as pd

from mammo.errors import UserError, listed
from mammo.records.ids import LARGEST_EXACT, is_missing

CODES = (-999.0, -99.0, -9.0, -1.0, 9.0, 99.0, 999.0, 9999.0)  # numbers that often stand for unknown
FEW = 5  # different values that are counted one by one

FAR = 1.5  # times the largest other value, from where a code is likelier than a value
_NUMBER = re.compile(r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?')
_PLAIN = re.compile(r'-?(0|[1-9][0-9]*)(\.[0-9]+)?')  # 042, 1E5 and +1 may be codes
_WHOLE = re.compile(r'[+-]?[0-9]+')
_COMMA = re.compile(r'[+-]?[0-9]+,[0-9]+')
_THOUSANDS = re.compile(r'[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+')
_MARKED = re.compile(r"[+-]?[0-9]+([.,'\s_\u2019][0-9]+)+")


class NumberError(UserError):
    """A cell that was declared a number and is none."""


def number(text: str, place: str) -> float:
    """A finite number with a decimal point.

    Args:
        place: how a message names the cell, such as ``labels.csv: row 3: N``.

    Raises:
        NumberError: the text is none; ``1_0``, ``1,5`` and ``nan`` are none.
    """
    value = number_or_nan(text)
    if not math.isnan(value):
        return value
    if not _COMMA.fullmatch(text):
        raise NumberError(f'{place} is {text!r}, expected a number, or empty if unknown')
    doubt = 'may be thousands' if _THOUSANDS.fullmatch(text) else 'stands beside other numbers'
    raise NumberError(f'{place} is {text!r}, whose comma {doubt}; write a decimal point in the whole column')


def remedy(text: str) -> str:
    """What to write instead of a number whose marks can be read in two ways; '' if the text is another one.

    Example:
        >>> remedy('1,500'), remedy('54')
        ('for a decimal comma write 1.500, for thousands 1500', '')
    """
    if not _MARKED.fullmatch(text) or _NUMBER.fullmatch(text):
        return ''
    if _THOUSANDS.fullmatch(text) and _COMMA.fullmatch(text):
        return f'for a decimal comma write {text.replace(",", ".")}, for thousands {text.replace(",", "")}'
    return 'write a decimal point and no other marks'


def number_or_nan(text: str) -> float:
    """A finite number with a decimal point, or NaN if the text is none."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else math.nan


def decimal_points(cells: Sequence[str]) -> list[str]:
    """Turn decimal commas into points, if a column as a whole has decimal commas; else the cells as they are.

    All of its values must be whole or have one comma, and one of them must be no group of thousands.

    Example:
        >>> decimal_points(['1,5', '2', 'NA']), decimal_points(['1,5', '2.5']), decimal_points(['1,500'])
        (['1.5', '2', 'NA'], ['1,5', '2.5'], ['1,500'])
    """
    commas = [cell for cell in cells if _COMMA.fullmatch(cell)]
    agree = all(_COMMA.fullmatch(cell) or _WHOLE.fullmatch(cell) or is_missing(cell) for cell in cells)
    if agree and any(not _THOUSANDS.fullmatch(cell) for cell in commas):
        return [cell.replace(',', '.') for cell in cells]
    return list(cells)


def numbers(column: pd.Series, place: str) -> pd.Series:
    """A column of text that is declared numeric -> float, NaN where it is missing.

    Args:
        column: text by line of its file, as mammo.records.tables.reading reads it.
        place: of the column, such as ``labels.csv: column N``.

    Raises:
        NumberError: cells are no numbers; it names the first lines.
    """
    values, problems = [], []
    for line, text in zip(column.index, decimal_points(list(column)), strict=True):
        try:
            values.append(math.nan if is_missing(text) else number(text, f'row {line}'))
        except NumberError as error:
            problems.append(str(error))
    if problems:
        raise NumberError(f'{place}: {listed(problems, 3, "; ")}')
    return pd.Series(values, index=column.index, dtype=float)


def contents(values: pd.Series) -> str:
    """What a column holds.

    Example:
        >>> contents(pd.Series([0, 1, 1, None])), contents(pd.Series(range(9)))
        ('0 (1), 1 (2), unknown (1)', '0 to 8 (9)')
    """
    counts = values.value_counts().sort_index()
    parts = [f'{value:g} ({n})' for value, n in counts.items()]
    if len(counts) > FEW:
        parts = [f'{counts.index[0]:g} to {counts.index[-1]:g} ({counts.sum()})']
    missing = int(values.isna().sum())
    return ', '.join(parts + ([f'unknown ({missing})'] if missing else []))


def doubtful_codes(values: pd.Series) -> str:
    """What in a column of numbers looks like a code: unknown as 9, -1 or 0.5, no and yes as 1 and 2; or ''.

    Example:
        >>> doubtful_codes(pd.Series([0, 1, 1, 9]))
        '1 values are 9, the others 0 to 1; if 9 means unknown, leave the cell empty'
        >>> doubtful_codes(pd.Series([1, 2, 2])), doubtful_codes(pd.Series([0, 1, 3, 9, 12]))
        ('all values are 1 or 2; write no and yes as 0 and 1', '')
    """
    counts = values.value_counts()
    usual = counts.index[~counts.index.isin(CODES)]
    if set(counts.index) == {1, 2}:
        return 'all values are 1 or 2; write no and yes as 0 and 1'
    between = sorted(value for value in counts.index if 0 < value < 1)
    if between and len(counts) <= FEW and {0, 1} == {*counts.index} - {*between}:
        return (
            f'{counts[between].sum()} values are {listed(f"{v:g}" for v in between)}, the others 0 or 1; '
            'if it is a yes or no, leave unsure cells empty'
        )
    for code in CODES if len(usual) else ():
        if code in counts.index and (code < 0 <= usual.min() or code > FAR * max(usual.max(), 0)):
            others = f'the others {usual.min():g} to {usual.max():g}'
            remedy = f'if {code:g} means unknown, leave the cell empty'
            return f'{counts[code]} values are {code:g}, {others}; {remedy}'
    return ''


def plain_values(cells: Iterable[str]) -> list[float | str | None]:
    """Cells of a column that nobody declared -> all numbers, or all text; None where one is missing.

    Numbers only if each is written as numbers usually are: ``042``, ``1E5`` and ``1_5`` may be codes, and so
    may whatever stands beside them.
    """
    texts = [None if is_missing(cell) else cell for cell in cells]
    filled = [text for text in texts if text is not None]
    if all(_PLAIN.fullmatch(text) and abs(float(text)) < LARGEST_EXACT for text in filled):
        return [None if text is None else float(text) for text in texts]
    return list(texts)
