"""The one reader of tables that people bring: CSV, TSV, semicolons, Excel; every cell is text.

file -> frame of text without blanks at the ends of cells; its index is the line (row, in Excel) of each row
"""

import codecs
import csv
import io
import logging
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pandas as pd

from mammo.errors import listed
from mammo.records.ids import clean
from mammo.records.tables.header import TableError, check_header

logger = logging.getLogger(__name__)
SUFFIXES = ('.csv', '.tsv', '.xlsx', '.xlsm')
ZIP_START = b'PK\x03\x04'  # of .xlsx
OLD_EXCEL_START = b'\xd0\xcf\x11\xe0'  # of .xls, and of .xlsx with a password
NAMELESS = re.compile(r'Unnamed: [0-9]+')  # what pandas calls a column without a name
ENCODINGS = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF32_LE: 'utf-32', codecs.BOM_UTF32_BE: 'utf-32'} | {
    codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'
}  # fmt: skip
Rows = list[tuple[int, list[str]]]  # line and cells


def read_table(
    path: str | os.PathLike,
    needed: Sequence[str] = (),
    *,
    kept: Collection[str] | None = (),
) -> pd.DataFrame:
    """Read a table as text.

    Rows and columns without any value are left out, the latter with a line in the log, and so are columns
    without a name.

    Args:
        needed: columns that must be there.
        kept: further columns that stay though they have no value; None: all that have a name.

    Returns:
        Frame of str, indexed by line.

    Raises:
        TableError: the file cannot be read, a column is missing, there twice or spelt unlike one of ``kept``,
            a quote does not close, or a row has more or fewer cells than the header.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise TableError(f'{path}: cannot be read: {error.strerror or error}') from None
    return parse_table(content, str(path), needed, kept=kept)


def parse_table(
    content: bytes,
    place: str,
    needed: Sequence[str] = (),
    *,
    kept: Collection[str] | None = (),
    min_rows: int = 1,
) -> pd.DataFrame:
    """The same, of a file's content; ``place`` names it in messages, ``min_rows`` come after the header."""
    rows = [(i, [clean(cell) for cell in cells]) for i, cells in _rows(content, place)]
    rows = [(i, cells) for i, cells in rows if any(cells)]
    if len(rows) <= min_rows:
        raise TableError(f'{place}: no data; expected a header line, and a line for each row')
    header = ['' if NAMELESS.fullmatch(name) else unicodedata.normalize('NFC', name) for name in rows[0][1]]
    ragged = [f'{i} ({len(cells)})' for i, cells in rows if len(cells) != len(header)]
    if ragged:
        raise TableError(
            f'{place}: lines {listed(ragged, 5)} have not the {len(header)} cells of the header; put quotes '
            'around cells that hold the separator, or is the file cut short?'
        )
    check_header(header, place, needed, kept or ())
    frame = pd.DataFrame([cells for _, cells in rows[1:]], columns=range(len(header)), dtype=str)
    frame.index = pd.Index([i for i, _ in rows[1:]], name='line')
    return _with_names(frame, header, place, {*header} if kept is None else {*needed, *kept})


def _rows(content: bytes, place: str) -> Rows:
    if content.startswith(OLD_EXCEL_START):
        raise TableError(f'{place}: an old Excel file, or one with a password; save it as .xlsx without one')
    if content.startswith(ZIP_START):
        # late: it loads a library that a CSV does not need
        from mammo.records.tables.sheets import sheet_rows

        rows, note = sheet_rows(content, place)
        if note:
            logger.warning('%s: %s', place, note)
        _refuse_line_breaks(rows, place)
        return rows
    return list(_lines(_text(content, place), place))


def _text(content: bytes, place: str) -> str:
    marks = [encoding for mark, encoding in ENCODINGS.items() if content.startswith(mark)]
    unmarked = {b'\0': 'utf-16-be'}.get(content[:1]) or {b'\0': 'utf-16-le'}.get(content[1:2]) or 'utf-8'
    try:
        text = content.decode(marks[0] if marks else unmarked)
    except UnicodeDecodeError as error:
        raise TableError(
            f'{place}: not UTF-8 text at byte {error.start}; save it as "CSV UTF-8" or .xlsx'
        ) from None
    if '\0' in text:
        raise TableError(f'{place}: no text table, it holds zero bytes; save it as "CSV UTF-8" or .xlsx')
    return text


def _lines(text: str, place: str) -> Iterator[tuple[int, list[str]]]:
    hint = re.match(r'"?sep=([^\r\n])"?[\r\n]+', text, re.IGNORECASE)  # Excel's own hint
    separator = hint[1] if hint else _separator(text)
    lines = csv.reader(io.StringIO(text, newline=''), delimiter=separator, strict=True, skipinitialspace=True)
    line = 1
    try:
        for cells in lines:
            _refuse_line_breaks([(line, cells)], place)
            if line > 1 or not hint:
                yield line, cells
            line = lines.line_num + 1
    except csv.Error as error:
        raise TableError(
            f'{place}: line {line}: {error}; a quote opens here and does not close, or text follows after it '
            'closes: quote whole cells, and double the quotes in them'
        ) from None


def _separator(text: str) -> str:
    """Tab, semicolon or comma, whichever the header has most of, outside of quotes."""
    header = re.sub(r'"[^"]*"', '', re.split(r'[\r\n]', text.lstrip(), maxsplit=1)[0])
    return max('\t;,', key=header.count)


def _refuse_line_breaks(rows: Rows, place: str) -> None:
    """A line break inside a cell is mostly a quote that never closed; one at its end loses nothing."""
    for line, cells in rows:
        broken = [cell for cell in cells if '\n' in cell.rstrip() or '\r' in cell.rstrip()]
        if broken:
            raise TableError(
                f'{place}: line {line}: a cell goes on over the end of its line ({broken[0][:40]!r}); close '
                'its quote, or take the line break out'
            )


def _with_names(frame: pd.DataFrame, header: list[str], place: str, kept: set[str]) -> pd.DataFrame:
    empty = set(frame.columns[(frame == '').all()]) if len(frame) else set()
    dropped = [i for i, name in enumerate(header) if not name or (i in empty and name not in kept)]
    if dropped:
        words = [f'{header[i]!r} (no value)' if header[i] else f'number {i + 1} (no name)' for i in dropped]
        logger.warning('%s: columns left out: %s', place, listed(words))
    frame.columns = pd.Index(header)
    return frame[[name for i, name in enumerate(header) if i not in dropped]]
