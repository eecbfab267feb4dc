"""Numbers in text: accepted, refused, left alone."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.records.tables.numerals import (
    NumberError,
    contents,
    decimal_points,
    doubtful_codes,
    number,
    numbers,
    plain_values,
)


@pytest.mark.parametrize(
    ('text', 'value'), [('1', 1), ('-2.5', -2.5), ('+.5', 0.5), ('1e3', 1000), ('3.', 3), ('042', 42)]
)
def test_numbers_are_numbers(text, value):
    assert number(text, 'x') == value


@pytest.mark.parametrize(
    'text', ['1_0', 'nan', 'inf', '0x1', '1 0', '', '１', '٣', '1e999', '20%', '<5', "1'000", '1.2.3']
)
def test_what_only_looks_like_a_number_is_none(text):
    with pytest.raises(NumberError, match=r'row 3: N is .*, expected a number, or empty if unknown'):
        number(text, 'row 3: N')


def test_a_comma_is_refused_with_the_remedy():
    with pytest.raises(NumberError, match='comma stands beside other numbers; write a decimal point'):
        number('1,5', 'x')
    with pytest.raises(NumberError, match='comma may be thousands; write a decimal point'):
        number('1,500', 'x')


@pytest.mark.parametrize(
    ('cells', 'points'),
    [(['1,5', '2', 'NA', ''], ['1.5', '2', 'NA', '']), (['1,500', '2,5'], ['1.500', '2.5']),
     (['0,500'], ['0.500']), (['-1,25'], ['-1.25'])],
)  # fmt: skip
def test_decimal_commas_of_a_whole_column(cells, points):
    assert decimal_points(cells) == points


@pytest.mark.parametrize(
    'cells',
    [['1,5', '2.5'], ['1,500'], ['1,500', '12'], ['1,5', 'x'], ['1,234,567', '1,5'], ['1.234,5'], ['2']],
)
def test_a_column_that_disagrees_stays_as_it_is(cells):
    assert decimal_points(cells) == cells


@given(st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 2)), min_size=1))
def test_a_column_with_decimal_commas_means_the_same(values):
    texts = [f'{value:.2f}'.replace('.', ',') for value in values]
    assert [float(text) for text in decimal_points(texts)] == values


def test_a_column_is_read_or_refused_with_the_lines():
    column = pd.Series(['1,5', '', '2'], index=[2, 3, 5])
    assert numbers(column, 't.csv: column N').fillna(-1).to_dict() == {2: 1.5, 3: -1, 5: 2}
    column = pd.Series(['1_0', '2', 'x', 'y', 'z'], index=[2, 3, 5, 6, 7])
    with pytest.raises(
        NumberError, match=r"t\.csv: column N: row 2 is '1_0'.*; row 5 is .*; row 6 .* and 1 more"
    ):
        numbers(column, 't.csv: column N')


@pytest.mark.parametrize('code', ['042', '1E5', '1_5', '+1', '1,5', '9007199254740993', '1.', 'x', '１'])
def test_codes_stay_text_and_so_does_what_stands_beside_them(code):
    assert plain_values([code, '112', 'NA']) == [code, '112', None]


def test_plain_numbers_are_numbers():
    values = plain_values(['54', '-1.5', '', '0', '0.25'])
    assert values == [54.0, -1.5, None, 0.0, 0.25]
    assert not any(isinstance(value, float) and math.isnan(value) for value in values)


@pytest.mark.parametrize(
    ('values', 'words'),
    [([0, 1, 1, 9], '1 values are 9, the others 0 to 1'), ([-1, 0, 1, -1], '2 values are -1'),
     ([0.4, 12, 99], '1 values are 99, the others 0.4 to 12'), ([1, 2, math.nan], 'all values are 1 or 2'),
     ([1, 2, 9], '1 values are 9'), ([0, 0.5, 1, 0.5], '2 values are 0.5, the others 0 or 1')],
)  # fmt: skip
def test_numbers_that_may_be_codes_are_named(values, words):
    assert doubtful_codes(pd.Series(values)).startswith(words)


@pytest.mark.parametrize(
    'values',
    [
        [0, 1],
        [],
        [math.nan],
        [9, 9],
        [0, 1, 2],
        [0, 3, 6, 9],
        [-1.5, -1, 2],
        [70, 99],
        [0, 0.2, 0.4, 0.6, 0.8, 1],
        [0.1, 0.5, 1],
        [0, 0.5, 1, 2],
    ],
)
def test_numbers_that_may_well_be_values_are_not(values):
    assert doubtful_codes(pd.Series(values, dtype=float)) == ''


def test_contents_are_counted_or_their_range_is_given():
    assert contents(pd.Series([1, 0, 1, None])) == '0 (1), 1 (2), unknown (1)'
    assert contents(pd.Series([*range(5)])) == '0 (1), 1 (1), 2 (1), 3 (1), 4 (1)'
    assert contents(pd.Series([*range(6), None])) == '0 to 5 (6), unknown (1)'
    assert contents(pd.Series([None], dtype=float)) == 'unknown (1)'
