"""Excel sheets as the text that a person sees in them.

content of an .xlsx file -> rows of the first sheet: (row number, cells as text)
"""

import io
import re
import zipfile
from datetime import date, datetime, time
from typing import Any
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from mammo.records.ids import LARGEST_EXACT
from mammo.records.tables.header import TableError

# number formats of codes: 0000 shows 42 as 0042, "P"00 and \P00 show 7 as P07
CODE_FORMAT = re.compile(r'(?:"([^"]*)"|\\(.))?(0+)')
LARGEST_BYTES = 1 << 29  # unpacked; a million rows of ten columns have half of it
# what openpyxl raises for files that are no workbooks
DAMAGED = (OSError, KeyError, IndexError, ValueError, TypeError, AttributeError, EOFError, ParseError,
           zipfile.BadZipFile, InvalidFileException, NotImplementedError)  # fmt: skip


def sheet_rows(content: bytes, place: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Read the first sheet.

    Args:
        place: name of the file in messages.

    Returns:
        Row numbers and cells, and a sentence about what else is in the file, or ''.

    Raises:
        TableError: the file is damaged, a cell holds another value than it shows, or rows share a cell.
    """
    _check_size(content, place)
    book, sheet = _first_sheet(content, place, data_only=False)
    _refuse_merged(sheet, place)
    rows = list(sheet.iter_rows())
    if any(cell.data_type == 'f' for row in rows for cell in row):
        _, values = _first_sheet(content, place, data_only=True)
        rows = list(values.iter_rows())
        _check_formulas(sheet, values, place)
    texts = [(i, [_shown(cell, place) for cell in row]) for i, row in enumerate(rows, start=1)]
    others = [other.title for other in book.worksheets[1:] if other.max_row > 1]
    hidden = [n for n, row in sheet.row_dimensions.items() if row.hidden]
    hidden_columns = [n for n, column in sheet.column_dimensions.items() if column.hidden]
    notes = [f'sheet {sheet.title!r} is read, not {", ".join(map(repr, others))}'] if others else []
    notes += [f'{len(hidden)} hidden rows are read too'] if hidden else []
    notes += [f'hidden columns {", ".join(hidden_columns)} are read too'] if hidden_columns else []
    return _without_margin(texts), '; '.join(notes)


def _first_sheet(content: bytes, place: str, *, data_only: bool) -> tuple[Any, Any]:
    try:
        book = load_workbook(io.BytesIO(content), data_only=data_only)
        return book, book.worksheets[0]
    except DAMAGED as error:
        raise TableError(f'{place}: not a readable Excel file: {error}; save it again as .xlsx') from None


def _check_size(content: bytes, place: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except DAMAGED as error:
        raise TableError(f'{place}: not a readable Excel file: {error}; save it again as .xlsx') from None
    if size > LARGEST_BYTES:
        raise TableError(f'{place}: unpacks to {size} bytes, more than any table has; save it as CSV UTF-8')


def _refuse_merged(sheet: Any, place: str) -> None:
    """A cell over several rows is seen in all of them, and stands in the first."""
    for cells in sheet.merged_cells.ranges:
        if cells.max_row > cells.min_row and cells.start_cell.value is not None:
            raise TableError(
                f'{place}: the cells {cells.coord} are merged, so that only the first of their rows has the '
                'value; unmerge them and fill in each'
            )


def _check_formulas(sheet: Any, values: Any, place: str) -> None:
    """Some programs save formulas without their values, which then read as empty cells."""
    for row in sheet.iter_rows():
        for cell in row:
            if cell.data_type == 'f' and values[cell.coordinate].value is None:
                raise TableError(
                    f'{place}: cell {cell.coordinate} is a formula without a value; open the file in Excel '
                    'and save it, or paste the values'
                )


def _shown(cell: Any, place: str) -> str:
    value, number_format = cell.value, str(cell.number_format)
    if value is None:
        return ''
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return str(value.date() if value.time() == time() else value)
    if isinstance(value, date | time):
        return str(value)
    if not isinstance(value, int | float):
        return str(value)
    if abs(value) >= LARGEST_EXACT:
        raise TableError(
            f'{place}: cell {cell.coordinate} is {value!r}; Excel rounds numbers of more than 15 digits: '
            'format the column as text, and enter it again'
        )
    if '%' in number_format:
        return f'{value * 100:g}%'
    if float(value).is_integer():
        code = CODE_FORMAT.fullmatch(number_format)
        return (code[1] or code[2] or '') + str(int(value)).zfill(len(code[3])) if code else str(int(value))
    return repr(float(value))


def _without_margin(rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Without the empty cells at the right, which only have a format."""
    width = max((i for _, cells in rows for i, cell in enumerate(cells, start=1) if cell.strip()), default=0)
    return [(i, cells[:width]) for i, cells in rows]
