"""Data and preprocessing: what tables are refused with, codes, defaults, leaks."""

import io
import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
from facts import default, quoted, rows, text

from mammo.errors import Exit, UserError
from mammo.preprocess.data_set import KEY_MAP
from mammo.preprocess.errors import KEEPABLE, Reason
from mammo.preprocess.inputs.image_rows import read_rows
from mammo.preprocess.settings import Settings
from mammo.records.ids import LARGEST_EXACT, check_look_alikes, normal_id
from mammo.records.tables.matching import LARGEST_SHARE
from mammo.records.tables.numerals import doubtful_codes, number, remedy
from mammo.records.tables.reading import parse_table

DATA, PREPROCESSING = 'docs/data.md', 'docs/preprocessing.md'
DIGITS = len(str(LARGEST_EXACT)) - 1  # that a float keeps of any whole number


def refusal(call: Any, *args: Any) -> str:
    """The message of the error that a call ends with."""
    try:
        call(*args)
    except UserError as error:
        return str(error)
    raise LookupError(f'{call.__name__}{args} is not refused')


def of_row(cells: str) -> str:
    """Why a row of a table of images is refused."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'a folder').mkdir()
        table = Path(folder) / 'images.csv'
        table.write_text(f'patient_id,png_path\np,a.png\np,b.png\np,c.png\n{cells}\n')
        return str(list(read_rows(table))[-1].error)


def workbook(cell: Any) -> bytes:
    """An Excel file with a cell B2, a hidden row and column, and a second sheet."""
    book = openpyxl.Workbook()
    for row in (('a', 'b'), ('1', cell)):
        book.active.append(row)
    book.active.row_dimensions[2].hidden = True
    book.active.column_dimensions['D'].hidden = True
    book.create_sheet('Old').append(['a'])
    book['Old'].append(['1'])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def merged_rows() -> bytes:
    """An Excel file whose cells B2 and B3 are one."""
    book = openpyxl.Workbook()
    for row in (('a', 'b'), (1, 2), (3, None)):
        book.active.append(row)
    book.active.merge_cells('B2:B3')
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def warning(call: Any, *args: Any) -> str:
    """The first line that a function logs."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger('mammo').addHandler(handler)
    try:
        call(*args)
    finally:
        logging.getLogger('mammo').removeHandler(handler)
    return lines[0]


def listed_codes() -> str:
    """All codes of the page's table, which must be all of them."""
    cells = [name.strip('` ') for row in rows(PREPROCESSING, '`') for name in row[0].split(',')]
    assert sorted(cells) == sorted(map(str, Reason)), set(cells) ^ set(map(str, Reason))
    return 'one of these codes'


TABLE = {
    DATA: [
        quoted('labels.csv: line 2: ...; a quote opens here and does not close, or text follows after it '
               'closes',
               lambda: refusal(parse_table, b'a,b\n1,"x\n2,y\n', 'labels.csv')),
        quoted('line 2: a cell goes on over the end of its line (...)',
               lambda: refusal(parse_table, b'a,b\n1,"x\ny"\n', 'labels.csv')),
        quoted('lines 3 (1), 4 (3) have not the 2 cells of the header',
               lambda: refusal(parse_table, b'a,b\n1,2\n1\n1,2,3\n', 'labels.csv')),
        quoted("column 'N' is there 2 times (columns 2, 3); keep or rename one",
               lambda: refusal(parse_table, b'id,N,N\n1,2,3\n', 'labels.csv')),
        quoted("columns are read by their exact names; rename 'Laterality' to 'laterality'",
               lambda: refusal(partial(parse_table, kept=['laterality']), b'Laterality\nL\n', 'labels.csv')),
        quoted('columns that differ only by case: N, n; each is read as one',
               lambda: warning(parse_table, b'N,n\n1,2\n', 'labels.csv')),
        quoted('the cells B2:B3 are merged, so that only the first of their rows has the value; unmerge them '
               'and fill in each',
               lambda: refusal(parse_table, merged_rows(), 'labels.xlsx')),
        quoted("column ['patient_id'] is missing, found [...]; rename 'Patient ID'?",
               lambda: refusal(parse_table, b'Patient ID,N\n1,2\n', 'labels.csv', ['patient_id'])),
        quoted("columns left out: number 2 (no name), 'c' (no value)",
               lambda: warning(parse_table, b'a,,c\n1,2,\n', 'labels.csv')),
        quoted('not UTF-8 text at byte 4; save it as "CSV UTF-8" or .xlsx',
               lambda: refusal(parse_table, b'a,bc\xff\n1,2\n', 'labels.csv')),
        ('an Excel number of more than {} digits', lambda: DIGITS),
        quoted('cell B2 is a formula without a value; open the file in Excel and save it',
               lambda: refusal(parse_table, workbook('=1+1'), 'labels.xlsx')),
        quoted('cell A2 is ...; Excel rounds numbers of more than 15 digits: format the column as text, and '
               'enter it again',
               lambda: refusal(parse_table, workbook(10**16), 'labels.xlsx').replace('B2', 'A2')),
        quoted("sheet 'Sheet' is read, not 'Old'; 1 hidden rows are read too; hidden columns D are read too",
               lambda: warning(parse_table, workbook('x'), 'labels.xlsx')),
        quoted("column N: row 2 is '1_0', expected a number, or empty if unknown",
               lambda: refusal(number, '1_0', 'labels.csv: column N: row 2')),
        quoted("row 2 is '1,5', whose comma stands beside other numbers; write a decimal point in the whole "
               'column',
               lambda: refusal(number, '1,5', 'row 2')),
        quoted('may be thousands', lambda: refusal(number, '1,500', 'row 2')),
        quoted('for a decimal comma write 1.500, for thousands 1500', lambda: remedy('1,500')),
        quoted('column N: 3 values are 9, the others 0 to 1; if 9 means unknown, leave the cell empty',
               lambda: f'column N: {doubtful_codes(pd.Series([0, 1, 9, 9, 9]))}'),
        quoted('row 5: patient_id is empty', lambda: of_row(',x.png')),
        quoted("is '-', which is nobody in particular", lambda: of_row('-,x.png')),
        quoted('a long number rounded by a spreadsheet; format the column as text and enter the ids again',
               lambda: refusal(normal_id, '1.23457E+11')),
        quoted('row 5: give dicom_path or png_path, one of them', lambda: of_row('p,')),
        quoted('expected one inside data_root, without ".."', lambda: of_row('p,../x.png')),
        quoted('is a folder, expected a file', lambda: of_row('p,a folder')),
        quoted('no such file; its path has back-slashes, write / instead', lambda: of_row('p,a\\x.png')),
        quoted('a number too long to be exact; write ids of more than 15 digits as text',
               lambda: refusal(normal_id, 1e17)),
        ('a JSON number of more than {} digits as id', lambda: DIGITS),
        quoted("'007' and '7'; if it is one, write one id",
               lambda: warning(check_look_alikes, ['007', '7'], 'x')),
        ('if they are more than one in {}, unless `--allow-unmatched`', lambda: {0.1: 'ten'}[LARGEST_SHARE]),
    ],
    PREPROCESSING: [
        ('with {}, in `skipped.csv`', listed_codes),
        ('{} | is no routine view of one breast; `--keep CODE,...` takes it', lambda: ', '.join(
            f'`{reason}`' for reason in sorted(KEEPABLE, key=text(PREPROCESSING).index))),
        ('`--spacing-mm` ({};', lambda: default('tools/preprocess.py', '--spacing-mm')),
        ('`--spacing-mm` ({};', lambda: Settings(Path()).spacing_mm),
        ('Exit code {}: an image came out; {}: none did, or with `--strict` one was skipped; {}: bad input',
         lambda: (Exit.DONE.value, Exit.NOTHING_MADE.value, Exit.BAD_INPUT.value)),
        ('`--key-map` writes `{}` (mode 600)', lambda: KEY_MAP),
        ('`FOLDS/<outer>/<inner>/{{{},{},{}}}.json`', lambda: ('train', 'val', 'test')),
    ],
}  # fmt: skip
