"""Tables as people might write them, by the thousand: the right rows or one message, never a wrong row."""

import io
import math
import re
import unicodedata

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.errors import UserError
from mammo.preprocess.inputs.image_rows import read_rows
from mammo.preprocess.inputs.labels import read_labels
from mammo.records.tables.reading import parse_table

FUZZ = settings(
    max_examples=2000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ENCODINGS = ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32']
IDS = [
    '042',
    '42',
    'P 1',
    'Müller',
    'a,b',
    'x;y',
    'say "hi"',
    '1E5',
    '1_5',
    '10000000000000000000001',
    "O'Neill",
]
SPELLINGS = [
    str,
    ' {} '.format,
    '{}\u200b'.format,
    '\ufeff{}'.format,
    lambda name: unicodedata.normalize('NFD', name),
]
LABELS = {'0': 0.0, '1': 1.0, '0.5': 0.5, '1e-3': 0.001, '': None, 'NA': None, '-2': -2.0, '042': 42.0}


@st.composite
def forms(draw):
    """A way to write rows of text -> function from rows to the bytes of a file."""
    separator = draw(st.sampled_from(',;\t'))
    end = draw(st.sampled_from(['\n', '\r\n', '\r']))
    encoding = draw(st.sampled_from(ENCODINGS))
    always_quoted, hint = draw(st.booleans()), draw(st.booleans())
    gap = draw(st.sampled_from(['', end, separator * 2 + end]))

    def cell(text):
        needs = always_quoted or any(c in text for c in f'{separator}"') or text != text.strip()
        return '"' + text.replace('"', '""') + '"' if needs else text

    def write(rows):
        lines = [separator.join(map(cell, row)) for row in rows]
        return ((f'sep={separator}{end}' if hint else '') + (end + gap).join(lines) + end).encode(encoding)

    return write


def excel(rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


label_rows = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(SPELLINGS), st.sampled_from(sorted(LABELS))),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@FUZZ
@given(rows=label_rows, form=st.one_of(forms(), st.just(excel)))
def test_labels_in_any_form_are_those_that_were_written_or_refused(tmp_path, rows, form):
    written: dict[str, set] = {}
    for name, _, label in rows:
        written.setdefault(name, set()).add(LABELS[label])
    table = [['patient_id', 'N', 'M'], *([spell(name), label, '1'] for name, spell, label in rows)]
    (tmp_path / 't').write_bytes(form(table))
    contradict = any(len(values) > 1 for values in written.values())
    try:
        labels = read_labels(tmp_path / 't', None)
    except UserError as error:
        assert contradict, error  # noqa: PT017
        return
    assert not contradict
    values = {patient: {row.get('N')} for (patient, _, _), row in labels.rows.items()}
    assert values == written
    assert all(row['M'] == 1 for row in labels.rows.values())


def physical_rows(text):
    """Lines that say something, by number; a cell may end in a line break, so that its quote closes below."""
    rows, number = {}, 0
    for i, line in enumerate(text.replace('\r\n', '\n').replace('\r', '\n').split('\n'), start=1):
        goes_on = number and rows[number].count('"') % 2 and re.match(r'"([,;\t]|$)', line)
        number = number if goes_on else i
        rows[number] = rows.get(number, '') + line
    return {i: line for i, line in rows.items() if line.replace('"', '').strip(' ,;\t')}


@pytest.mark.slow
@FUZZ
@given(
    rows=st.lists(st.tuples(st.sampled_from(IDS[:4]), st.sampled_from(['0', '1', 'a "b" c'])), min_size=1),
    place=st.integers(0, 400), cut=st.integers(0, 2), separator=st.sampled_from(',;\t'),
    put=st.sampled_from(['', '"', ',', '\n', '""', '\r', '"\n', '\0', ';']),
)  # fmt: skip
def test_a_damaged_table_loses_no_row_without_a_message(rows, place, cut, put, separator):
    lines = [['patient_id', 'N'], *rows]
    text = '\n'.join(separator.join('"' + c.replace('"', '""') + '"' for c in line) for line in lines) + '\n'
    place = place % len(text)
    damaged = text[:place] + put + text[place + cut :]
    try:
        table = parse_table(damaged.encode(), 't.csv')
    except UserError:
        return
    physical = physical_rows(damaged)
    assert (
        list(table.index) == list(physical)[1:]
    )  # a row for each line that says something, under its number
    for line, cells in zip(table.index, table.to_numpy().tolist(), strict=True):
        assert all(cell.replace('"', '') in physical[line].replace('"', '') for cell in cells)


GOOD_PATHS = [
    'a.png',
    './a.png',
    './/a.png',
    'sub/b.png',
    'sub//b.png',
    'sub/./b.png',
    ' a.png ',
    'ü.png',
    'u\u0308.png',
]
BAD_PATHS = ['', ' ', '.', './', '/', '..', '../a.png', 'sub/../a.png', 'sub\\b.png', '\\', 'NA', '\u200b']
TARGETS = {
    name: 'a.png' if 'a.png' in name else 'sub/b.png' if 'b.png' in name else 'ü.png' for name in GOOD_PATHS
}


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    (folder / 'sub').mkdir()
    for name in ('a.png', 'sub/b.png', 'ü.png'):
        (folder / name).write_bytes(b'')
    return folder


@pytest.mark.slow
@FUZZ
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(GOOD_PATHS + BAD_PATHS), st.sampled_from(['P1', '042', '', 'NA', ' 042'])),
        min_size=1, max_size=5,
    ),
    form=st.one_of(forms(), st.just(excel)),
    sizes=st.sampled_from([['0.1'], ['0,1'], ['0,1', '0.1'], ['100,5'], ['1_0']]),
)  # fmt: skip
def test_every_row_of_images_leads_to_its_file_or_is_refused(images, rows, form, sizes):
    cells = [[path, patient, sizes[i % len(sizes)], '07'] for i, (path, patient) in enumerate(rows)]
    table = images / 'table'
    table.write_bytes(form([['png_path', 'patient_id', 'spacing_mm', 'site'], *cells]))
    try:
        read = list(read_rows(table))
    except UserError:
        return  # all paths or patients are empty
    assert len(read) == len(rows)
    agree = len({'.' in cell[2] for cell in cells}) == 1
    for (path, patient), row, cell in zip(rows, read, cells, strict=True):
        if row.error is None:
            assert row.path.resolve() == (images / TARGETS[path]).resolve()
            assert row.fields['patient_id'] == patient.strip()
            assert math.isclose(row.fields['spacing_mm'], 0.1)
            assert row.fields['clinic_vars'] == {'site': '07'}
        else:
            assert path in BAD_PATHS or patient in ('', 'NA') or cell[2] in ('1_0', '100,5') or not agree
