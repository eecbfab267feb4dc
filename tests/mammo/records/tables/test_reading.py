"""The reader of tables: every form of the same rows, and each refusal."""

import io
import logging
from datetime import datetime

import openpyxl
import pandas as pd
import pytest

from mammo.records.tables.reading import TableError, parse_table, read_table

ROWS = [['patient_id', 'N', 'note'], ['042', '1', 'a, b'], ['7', '', 'x;y']]


def excel(rows, **formats):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for place, text in formats.items():
        book.active[place].number_format = text
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def text(separator, end='\n', rows=ROWS):
    return ''.join(separator.join(f'"{cell}"' for cell in row) + end for row in rows)


FORMS = {
    'comma': text(',').encode(),
    'tab': text('\t').encode(),
    'semicolon': text(';').encode(),
    'windows': text(';', '\r\n').encode(),
    'old macintosh': text(',', '\r').encode(),
    'byte order mark': text(',').encode('utf-8-sig'),
    'utf-16': text('\t', '\r\n').encode('utf-16'),
    'utf-16 without mark': text('\t').encode('utf-16-le'),
    'utf-16 big-endian': text('\t').encode('utf-16-be'),
    'utf-32': text('\t').encode('utf-32'),
    'told separator': ('sep=;\r\n' + text(';', '\r\n')).encode(),
    'quoted hint': ('"sep=,"\n' + text(',')).encode(),
    'blank lines': ('\n\n' + text(',').replace('\n', '\n\n')).encode(),
    'blanks and invisible characters around cells': text(',').replace('042', '\ufeff042\u200b\xa0').encode(),
    'no line end': text(',').strip().encode(),
    'excel': excel(ROWS),
}


@pytest.mark.parametrize('form', FORMS)
def test_one_table_in_every_form(form, tmp_path):
    (tmp_path / 't.csv').write_bytes(FORMS[form])
    table = read_table(tmp_path / 't.csv', ['patient_id'])
    assert [list(table), *table.to_numpy().tolist()] == ROWS


def test_the_index_is_the_line_in_the_file():
    table = parse_table(b'\na,b\n1,2\n\n,\n3,4\n', 't.csv')
    assert list(table.index) == [3, 6]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('a,b\n"5 inch,1\n2,0\n3,0\n', r't\.csv: line 2: .*quote opens here and does not close'),
        ('a,b\n1,"1\n' + '2,0\n' * 60000, r't\.csv: line 2: field larger than field limit'),
        ('a,b\n1,"x\n2,"y\n', 'line 2: .*text follows after it closes'),
        ('a,b\n1,"x\ny"\n', r'line 2: a cell goes on over the end of its line \(.x.ny.\)'),
        ('a,b\n1,2\n3,"\nx"\n', 'line 3: a cell goes on over the end'),
        ('a,b\n1,"x\ry"\n', 'line 2: a cell goes on over the end'),
        ('a,b\n"1"2,3\n', "line 2: ',' expected after '\"'"),
        ('a,b,a\n1,2,3\n', r"column 'a' is there 2 times \(columns 1, 3\)"),
        ('a,A\u0308,\u00c4\n1,2,3\n', "column '\u00c4' is there 2 times"),
        ('a,b\n1,2\n1\n1,2,3\n', r'lines 3 \(1\), 4 \(3\) have not the 2 cells of the header'),
        ('a,b\n', 'no data'),
        ('', 'no data'),
        ('\n,,\n', 'no data'),
        (b'a,b\n\xff,1\n', 'not UTF-8 text at byte 4; save it as "CSV UTF-8"'),
        (b'a,b\n1,\0\n', 'holds zero bytes'),
        (b'\xd0\xcf\x11\xe0rest', 'an old Excel file, or one with a password'),
        (b'PK\x03\x04rest', 'not a readable Excel file'),
    ],
)
def test_a_table_that_would_be_read_wrongly_is_refused(content, message):
    with pytest.raises(TableError, match=message):
        parse_table(content if isinstance(content, bytes) else content.encode(), 't.csv')


def test_a_line_break_at_the_end_of_a_cell_loses_nothing():
    table = parse_table(b'a,b\n1,"x\n"\n2,y\n', 't.csv')
    assert (list(table.index), table['b'].tolist()) == ([2, 4], ['x', 'y'])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TableError, match=r'none\.csv: cannot be read: No such file'):
        read_table(tmp_path / 'none.csv')


def test_columns_without_name_or_value_are_dropped_with_a_line(caplog):
    with caplog.at_level(logging.WARNING):
        table = parse_table(b'a,,b,c,\n1,x,2,,\n3,,4, ,\n', 't.csv', kept=['z'])
    assert list(table) == ['a', 'b']
    assert "t.csv: columns left out: number 2 (no name), 'c' (no value), number 5 (no name)" in caplog.text


def test_declared_columns_stay_without_a_value():
    assert list(parse_table(b'a,b\n1,\n', 't.csv', kept=['b'])) == ['a', 'b']
    assert list(parse_table(b'a,b\n1,\n', 't.csv', ['b'])) == ['a', 'b']


def test_a_column_without_a_name_stays_one_when_pandas_has_written_it(tmp_path):
    pd.read_csv(io.StringIO(',a\n0,1\n')).to_csv(tmp_path / 't.csv', index=False)
    assert list(read_table(tmp_path / 't.csv')) == ['a']


def test_a_missing_column_is_named_beside_what_looks_like_it():
    with pytest.raises(
        TableError, match=r"column \['patient_id'\] is missing, found .*; rename 'Patient ID'"
    ):
        parse_table(b'Patient ID,N\n1,2\n', 't.csv', ['patient_id'])


@pytest.mark.parametrize('name', ['Laterality', 'Tumour side', 'EXAM-ID'])
def test_a_column_in_another_spelling_than_it_is_read_by_is_refused(name):
    kept = ('laterality', 'tumor_side', 'exam_id')
    with pytest.raises(TableError, match=rf"read by their exact names; rename '{name}' to '"):
        parse_table(f'patient_id,{name}\n1,L\n'.encode(), 't.csv', ['patient_id'], kept=kept)


def test_columns_whose_declared_names_differ_by_punctuation_are_both_read(caplog):
    assert list(parse_table(b'ER+,%\n1,2\n', 't.csv', kept=['ER+', 'ER-'])) == ['ER+', '%']
    assert not caplog.text


def test_columns_that_differ_by_case_are_named(caplog):
    assert list(parse_table(b'N,n\n1,2\n', 't.csv')) == ['N', 'n']
    assert 't.csv: columns that differ only by case: N, n; each is read as one' in caplog.text


# Excel


def test_excel_cells_are_the_text_that_is_seen():
    rows = [
        ['a', 'b', 'c', 'd', 'e'],
        [42, 7.0, 2.5, datetime(2024, 3, 1), True],
        [42, None, 0.2, '042', '=1'],
    ]
    rows[2][4] = datetime(2024, 3, 1, 10, 30)
    table = parse_table(excel(rows, A2='0000', C3='0.0%'), 't.xlsx')
    assert table.to_numpy().tolist() == [
        ['0042', '7', '2.5', '2024-03-01', 'TRUE'],
        ['42', '', '20%', '042', '2024-03-01 10:30:00'],
    ]


@pytest.mark.parametrize(
    ('number_format', 'text'), [('"P"00', 'P07'), (r'\P0', 'P7'), ('"MG-"0000', 'MG-0007'), ('0" mm"', '7')]
)
def test_an_excel_format_may_put_letters_before_a_code(number_format, text):
    assert parse_table(excel([['a'], [7]], A2=number_format), 't.xlsx').a.tolist() == [text]


@pytest.mark.parametrize('value', [2**53, 1.5e16, -(2**60)])
def test_excel_numbers_that_it_has_rounded_are_refused(value):
    with pytest.raises(
        TableError, match=r't\.xlsx: cell A2 is .*; Excel rounds .* format the column as text'
    ):
        parse_table(excel([['a'], [value]]), 't.xlsx')


def test_an_excel_formula_without_a_stored_value_is_no_empty_cell():
    with pytest.raises(TableError, match=r't\.xlsx: cell B2 is a formula without a value; open'):
        parse_table(excel([['a', 'b'], [1, '=A2+1']]), 't.xlsx')


def test_a_line_break_inside_an_excel_cell_is_refused():
    with pytest.raises(TableError, match='line 2: a cell goes on over the end of its line'):
        parse_table(excel([['a', 'b'], ['1', 'x\ny']]), 't.xlsx')


@pytest.mark.parametrize(('cells', 'is_refused'), [('B2:B3', True), ('A2:B2', False), ('B3:B4', False)])
def test_excel_cells_over_several_rows_are_refused(cells, is_refused):
    book = openpyxl.Workbook()
    for row in (['a', 'b'], [1, 1], [2, None], [3, None]):
        book.active.append(row)
    book.active.merge_cells(cells)
    content = io.BytesIO()
    book.save(content)
    if not is_refused:
        assert len(parse_table(content.getvalue(), 't.xlsx')) == 3
        return
    with pytest.raises(TableError, match=rf'the cells {cells} are merged, .* fill in each'):
        parse_table(content.getvalue(), 't.xlsx')


def test_what_else_an_excel_file_holds_is_said(caplog):
    book = openpyxl.Workbook()
    for row in (['a'], [1], [2]):
        book.active.append(row)
    book.active.row_dimensions[3].hidden = True
    book.active.column_dimensions['A'].hidden = True
    for row in (['a'], [9]):
        book.create_sheet('Old').append(row) if 'Old' not in book.sheetnames else book['Old'].append(row)
    content = io.BytesIO()
    book.save(content)
    assert parse_table(content.getvalue(), 't.xlsx')['a'].tolist() == ['1', '2']
    assert (
        "t.xlsx: sheet 'Sheet' is read, not 'Old'; 1 hidden rows are read too; hidden columns A are read too"
        in caplog.text
    )


def test_a_table_written_by_pandas_is_read_the_same(tmp_path):
    frame = pd.DataFrame(dict(patient_id=['042', '7'], age=[50, 61]))
    frame.to_excel(tmp_path / 't.xlsx', index=False)
    assert read_table(tmp_path / 't.xlsx').to_numpy().tolist() == [['042', '50'], ['7', '61']]
