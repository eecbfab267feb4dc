"""Reports of breasts speak of breasts, and leave names, paths and tags alone."""

import pytest

from mammo.evaluation.units import html_in_words_of, in_words_of


@pytest.mark.parametrize(
    ('text', 'of_breasts'),
    [
        ('Patients (a): 3 patients, per patient', 'Breasts (a): 3 breasts, per breast'),
        ('model patient-mlp of data/patients/a.json', 'model patient-mlp of data/patients/a.json'),
        ('outpatients', 'outpatients'),
        ('read from patients.json.', 'read from patients.json.'),
        ('Patient and public involvement of patients.', 'Patient and public involvement of breasts.'),
    ],
)
def test_patients_are_breasts_where_these_are_counted(text: str, of_breasts: str) -> None:
    assert in_words_of('breast', text) == of_breasts
    assert in_words_of('patient', text) == text


def test_tags_and_styles_of_a_page_stay() -> None:
    page = '<style>.patient {}</style><a href="#patients" title="patient">patients</a>'
    assert html_in_words_of('breast', page) == page.replace('>patients<', '>breasts<')
