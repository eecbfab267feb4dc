"""Numbers and sentences of the page."""

import pytest

from mammo.evaluation.page.checklist import checklist, separation
from mammo.evaluation.page.text import estimate_html, lead, number, p_text


def estimate(value, low=None, high=None, **more):
    return dict(value=value, ci_low=low, ci_high=high, method='m', **more)


def model(auc, chosen_on='development', fnr=0.1):
    at = dict(
        threshold_chosen_on=chosen_on,
        reduction_rate=estimate(0.42),
        fnr=estimate(fnr, count=3, total=30),
    )
    slnb = dict(development=at if chosen_on == 'development' else None, test=at)
    return dict(n_patients=100, n_events=30, roc_auc=auc, slnb=slnb)


@pytest.mark.parametrize(
    ('auc', 'words'),
    [
        (estimate(0.8, 0.7, 0.9), 'tells 30 patients with the event from 70 without it better than chance'),
        (estimate(0.37, 0.25, 0.49), 'the wrong way round'),
        (estimate(0.55, 0.4, 0.7), 'was not shown to tell 30 patients'),
        (estimate(0.6, reason='no interval: one'), 'no interval'),
    ],
)
def test_lead_says_no_more_than_the_interval(auc, words):
    sentence = lead('A', model(auc))
    assert words in sentence
    assert 'spare 42\u202f% of all patients the biopsy and miss 3 of 30 events' in sentence


def test_lead_of_a_threshold_from_the_test_patients_says_so():
    assert 'optimistic' in lead('A', model(estimate(0.8, 0.7, 0.9), 'test'))
    assert 'optimistic' not in lead('A', model(estimate(0.8, 0.7, 0.9)))


def test_minus_signs_are_all_of_one_kind():
    assert number(-0.5, 2) == '\u22120.50'
    assert number(0.5, 2, signed=True) == '+0.50'
    html = estimate_html(estimate(-0.1, -0.2, 0.05), as_percent=True, signed=True)
    assert '-' not in html
    assert (html[3:8], html.split('<span>')[1].split('</span>')[0]) == ('\u221210.0', '\u221220.0 to +5.0')


def test_missing_interval_is_replaced_by_its_reason():
    assert 'all scores are equal' in estimate_html(estimate(0.5, reason='no interval: all scores are equal'))
    assert 'none' in estimate_html(dict(value=None, ci_low=None, ci_high=None, reason='no patient'))


def test_names_are_escaped():
    assert '&lt;b&gt;' in lead('<b>', model(estimate(0.8, 0.7, 0.9)))


@pytest.mark.parametrize(('p', 'text'), [(None, '\u2014'), (0.0004, '< 0.001'), (0.0316, '0.032')])
def test_p_values_are_printed_as_journals_do(p, text):
    assert p_text(p) == text


@pytest.mark.parametrize(
    ('sources', 'folds', 'words'),
    [
        ([], None, 'not checked'),
        ([1], None, 'nobody of the development files is in the test files'),
        ([1], dict(n_folds=5), 'every test patient is development data of other outer folds'),
    ],
)
def test_separation_says_what_was_checked(sources, folds, words):
    assert words in separation(dict(development_sources=sources, cross_validation=folds))


def test_checklist_speaks_of_every_model():
    entry = model(estimate(0.8, 0.7, 0.9)) | dict(
        development_sources=[], cross_validation=None, recalibration=None, missing_inputs=[], sample_size=None
    )
    entry['flow'] = dict(patients_without_label=1, patients_without_usable_image=2)
    settings = dict(
        kind='binary', aggregate='max', sensitivity=0.9, n_bootstrap=100, seed=0, subgroups=[], min_group=20
    )
    other = model(estimate(0.8, 0.7, 0.9), 'test') | {k: v for k, v in entry.items() if k not in ('slnb',)}
    rows = dict(checklist(dict(task='N', settings=settings, models=dict(A=entry, B=other))))
    threshold = rows['Decision threshold']
    assert 'A on development data' in threshold
    assert 'B on the test data themselves' in threshold
    assert rows['Separation of development and test'].count('not checked') == 2
