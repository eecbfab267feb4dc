"""Sentences of the banner: there where they must be, and only there."""

import pytest

from mammo.evaluation.report.notices import notices


def report(n_events=60, n=200, auc=(0.8, 0.7, 0.9), within=None, repeats=1):
    about = None
    if within is not None:
        about = dict(n_folds=5 * repeats, n_repeats=repeats, roc_auc_within_folds=dict(value=within))
    entry = dict(
        n_patients=n,
        n_events=n_events,
        roc_auc=dict(zip(('value', 'ci_low', 'ci_high'), auc, strict=True)),
        cross_validation=about,
    )
    return whole('binary', A=entry)


def whole(kind, subgroups=(), comparisons=(), **models):
    settings = dict(kind=kind, subgroups=subgroups, confidence=None)
    return dict(task='N', models=models, settings=settings, comparisons=comparisons)


@pytest.mark.parametrize(
    ('report', 'words'),
    [
        (report(n_events=19), 'only 19 patients with the event'),
        (report(n_events=190), 'only 10 patients without the event'),
        (report(auc=(0.3, 0.2, 0.4)), 'score lower than those without'),
        (report(within=0.75), 'within the folds it is 0.750'),
        (report(within=0.8), 'pooled over the different models of 5 outer folds. Intervals'),
        (report(within=0.8, repeats=3), 'of 15 test parts, repeated 3 times'),
    ],
)
def test_what_a_reader_must_know_is_said(report, words):
    assert words in ' '.join(notices(report))


def test_nothing_is_said_of_one_model_with_enough_events():
    assert notices(report(n_events=20)) == []
    assert not any('within' in sentence for sentence in notices(report(within=0.79)))


def test_regression_tasks_have_no_events_but_few_patients():
    entry = dict(n_patients=20, n_events=None, cross_validation=None)
    assert notices(whole('regression', A=entry)) == []
    assert 'A: only 19 patients' in notices(whole('regression', A=entry | dict(n_patients=19)))[0]


def test_subgroups_and_differences_of_a_regression_task_are_said_to_be_left_out():
    entry = dict(n_patients=20, n_events=None, cross_validation=None)
    (sentence,) = notices(whole('regression', A=entry, subgroups=['age']))
    assert sentence.endswith('subgroups are not computed.')
    (sentence,) = notices(whole('regression', A=entry, B=entry, subgroups=['age']))
    assert sentence.endswith('subgroups and differences between models are not computed.')


def test_scores_that_are_no_probabilities_are_said_to_be_none():
    logits = report()
    logits['models']['A']['net_benefit'] = []
    assert notices(logits)[0].startswith('A: scores outside 0 to 1')
    logits['models']['A']['net_benefit'] = [dict(threshold=0.1)]
    assert notices(logits) == []


@pytest.mark.parametrize(
    ('digests', 'alone', 'words'),
    [
        ('ab', 0, ''),
        ('aa', 0, 'A and B are the same predictions'),
        ('ab', 7, '7 have only one of the scores'),
    ],
)
def test_a_model_compared_with_itself_or_on_other_patients_is_named(digests, alone, words):
    a, b = (report()['models']['A'] | dict(sources=[dict(sha256=digest)]) for digest in digests)
    pair = dict(a='A', b='B', n_patients=100, n_patients_of_one_model_only=alone)
    assert words in ' '.join(notices(whole('binary', A=a, B=b, comparisons=[pair])))
    assert bool(words) == bool(notices(whole('binary', A=a, B=b, comparisons=[pair])))


def test_two_breasts_of_one_woman_are_not_taken_for_two_women_without_a_word():
    two = report()
    two['models']['A']['n_women'] = 150
    assert '200 breasts of 150 women' in ' '.join(notices(two))
    two['models']['A']['n_women'] = 200
    assert notices(two) == []
