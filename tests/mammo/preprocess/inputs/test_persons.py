"""One person, one study: what headers rule out."""

import pytest

from mammo.preprocess.inputs.persons import Person, contradictions, person_of, several_exams
from tests.support.dicom_files import BIRTH, mammogram

A = Person('1', 'HOSPITAL_A', '19500101', 'F', '1.2', (700000, None, None, None))


def reasons(*persons):
    return [error and str(error.reason) for error in contradictions(persons)]


@pytest.mark.parametrize('change', [dict(issuer='B'), dict(birth_date='19700101'), dict(sex='M')])
def test_one_id_of_two_people_refuses_all_images_without_saying_what_differs(change):
    other = A._replace(study='1.3', **change)
    assert reasons(A, other, Person('2')) == ['MIXED_PATIENTS', 'MIXED_PATIENTS', None]
    assert not any(
        value in str(contradictions([A, other])) for value in (*other[1:4], *A[1:4]) if len(value) > 1
    )


@pytest.mark.parametrize('empty', ['issuer', 'birth_date', 'sex', 'study'])
def test_an_empty_tag_contradicts_nothing(empty):
    assert reasons(A, A._replace(**{empty: ''})) == [None, None]


def test_one_study_under_two_ids_refuses_both():
    assert reasons(A, A._replace(patient_id='9'), A._replace(patient_id='9', study='1.3')) == [
        'STUDY_OF_TWO_PATIENTS', 'STUDY_OF_TWO_PATIENTS', None
    ]  # fmt: skip


def test_images_without_study_share_none():
    assert reasons(Person('1'), Person('2')) == [None, None]


@pytest.mark.parametrize('index', range(4))
def test_every_date_and_the_study_tell_exams_apart(index):
    days = [None] * 4
    first, second = (A._replace(study='', dates=(*days[:index], day, *days[index + 1 :])) for day in (1, 2))
    assert several_exams([first, second])
    assert not several_exams([first, first, Person('1')])
    assert several_exams([A, A._replace(study='1.9')])


def test_an_id_of_the_table_needs_no_issuer():
    ds = mammogram(IssuerOfPatientID='A', PatientSex='F')
    assert person_of(ds, 'P1')[:4] == ('P1', 'A', BIRTH, 'F')
    assert person_of(ds, 'T7')[:2] == ('T7', '')


def of(row, header):
    return Person(row, in_header=header)


def test_rows_that_are_swapped_among_rows_that_agree_are_refused():
    agreeing = [of(name, name) for name in 'ABC']
    assert reasons(*agreeing, of('D', 'C'), of('E', 'A7')) == [None] * 3 + ['BAD_ROW', None]


def test_a_table_with_ids_of_its_own_is_taken_at_its_word():
    assert reasons(of('1', '2'), of('2', '3'), of('3', '1'), of('4', '4')) == [None] * 4
    assert reasons(of('1', '1'), of('2', '1')) == [None] * 2
