"""Identity: one normal form, and the ids that look alike."""

import logging
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.errors import UserError
from mammo.records.ids import IdError, InexactIdError, check_look_alikes, look_alikes, normal_id, normal_path


@pytest.mark.parametrize(
    'value', ['P1', ' P1', 'P1 ', 'P1\u200b', '\ufeffP1', 'P1\xa0', '\tP1\r\n', 'P1\0', 'P1\ufe0f']
)
def test_blanks_and_invisible_characters_at_the_ends_say_nothing(value):
    assert normal_id(value) == 'P1'


@pytest.mark.parametrize(
    ('value', 'expected'),
    [('042', '042'), ('1.0', '1'), ('007.00', '007'), (1.0, '1'), (2.5, '2.5'), ('2.50', '2.50'),
     ('1E5', '1E5'), ('1_5', '1_5'), (-3.0, '-3'), (np.int64(7), '7'), (np.float32(7), '7'),
     (10**30 + 1, '1' + '0' * 29 + '1'), ('Mu\u0308ller', 'Müller'), ('P 1', 'P 1'), ('1.0.0', '1.0.0')],
)  # fmt: skip
def test_one_normal_form(value, expected):
    assert normal_id(value) == expected


@pytest.mark.parametrize('value', [None, float('nan'), '', ' ', '\u200b', '\ufeff \u3164'])
def test_nothing_is_no_id(value):
    assert normal_id(value) is None


@pytest.mark.parametrize('value', [True, ['P1'], {}, 'P\ud800 1', b'P1'])
def test_what_cannot_identify_anybody_is_refused(value):
    with pytest.raises(IdError, match='row 3: patient_id is '):
        normal_id(value, 'row 3: patient_id')


@pytest.mark.parametrize('value', [2.0**53, -(2.0**53), 1e22, float('inf')])
def test_rounded_numbers_are_refused(value):
    with pytest.raises(InexactIdError, match=r'too long to be exact; write ids .* as text'):
        normal_id(value)


@pytest.mark.parametrize(
    'text',
    [
        '9007199254740992.0',
        '-12345678901234567890.00',
        '1.2345678901234568e+17',
        '1.23457E+11',
        '1,2E+11',
        '1E+05',
    ],
)
def test_text_that_shows_a_rounded_number_is_refused(text):
    with pytest.raises(InexactIdError, match=r'row 3: patient_id is .*as text'):
        normal_id(text, 'row 3: patient_id')


@pytest.mark.parametrize('text', ['1E5', '1e-5', '12E+3', 'A1.2E+11', '1.2E', '12345678901234567890'])
def test_codes_that_only_resemble_a_rounded_number_are_ids(text):
    assert normal_id(text) == text


def test_the_largest_exact_float_is_an_id():
    assert normal_id(2.0**53 - 1) == normal_id('9007199254740991.0') == '9007199254740991'


@given(st.text())
def test_the_normal_form_of_a_normal_form_is_itself(text):
    try:
        name = normal_id(text)
    except IdError:
        return
    assert name is None or (normal_id(name) == name and unicodedata.is_normalized('NFC', name))


@pytest.mark.parametrize('path', ['a/b.png', './a/b.png', 'a//b.png', 'a/./b.png', './/a/././b.png'])
def test_one_spelling_of_a_path(path):
    assert normal_path(path) == 'a/b.png'


@pytest.mark.parametrize('path', ['', '.', './', './/.'])
def test_no_path_is_no_path(path):
    assert normal_path(path) == ''


@pytest.mark.parametrize('path', ['/a.png', '//a.png', '/./a.png'])
def test_absolute_paths_stay_absolute(path):
    assert normal_path(path) == '/a.png'


def test_parts_that_lead_upwards_and_dots_in_names_stay():
    assert normal_path('a./../.b/c..png') == 'a./../.b/c..png'


@pytest.mark.parametrize(
    ('one', 'other'),
    [('MAL_2014', 'MAL-2014'), ('p1', 'P1'), ('042', '42'), ('P007', 'P7'), ('P 1', 'P1'), ('12-34', '1234'),
     ('p1\u200b1', 'p11'), ('１', '1'), ('0', '00'), ('1-01', '1-1'), ('Straße', 'STRASSE'),
     ('P1', '\u04201'), ('B7', '\u03927'), ('P01', 'PO1'), ('AI-7', 'A1-7'), ('Pl1', 'P11')],
)  # fmt: skip
def test_ids_that_look_alike(one, other):
    assert look_alikes([one, other, 'another', '9999']) == [sorted([one, other])]


@pytest.mark.parametrize(
    ('one', 'other'),
    [('1-11', '11-1'), ('P1', 'P10'), ('P1', 'R1'), ('40', '4'), ('-', '_'), ('fo1', 'f1'), ('OP1', 'P1')],
)
def test_ids_that_do_not(one, other):
    assert look_alikes([one, other]) == []


def test_an_id_that_is_there_twice_is_no_look_alike():
    assert look_alikes(['042', '042']) == []


def test_look_alikes_are_named_in_a_warning_and_refused_on_demand(caplog):
    with caplog.at_level(logging.WARNING):
        check_look_alikes(['042', '42', 'P1'], 'labels.csv')
    assert 'labels.csv: ids that differ only by case' in caplog.text
    assert "'042' and '42'; if it is one, write one id" in caplog.text
    with pytest.raises(UserError, match="'042' and '42'"):
        check_look_alikes(['042', '42', 'P1'], 'labels.csv', strict=True)
    check_look_alikes(['42', 'P1'], 'labels.csv', strict=True)
