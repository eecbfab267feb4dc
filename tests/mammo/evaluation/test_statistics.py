"""Estimates with intervals, against independent implementations and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test
from scipy import stats
from scipy.special import logit
from sklearn.metrics import r2_score, roc_auc_score

from mammo.evaluation.statistics import (
    delong,
    delta_auc,
    mean,
    mean_fraction,
    pearson,
    proportion,
    r2,
    roc_auc,
)


def draw(n=150, auc=0.77, rate=0.25, seed=0, m=1):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < round(rate * n)).astype(float)
    scores = rng.normal(labels * np.sqrt(2) * stats.norm.ppf(auc), 1, (m, n))
    return scores, labels


def slow_delong(scores, labels):
    """DeLong 1988 from its definition, every pair of patients."""
    pos, neg = scores[:, labels == 1], scores[:, labels == 0]
    psi = (pos[:, :, None] > neg[:, None, :]) + 0.5 * (pos[:, :, None] == neg[:, None, :])
    return psi.mean((1, 2)), np.cov(psi.mean(2)) / pos.shape[1] + np.cov(psi.mean(1)) / neg.shape[1]


@pytest.mark.parametrize('seed', range(5))
def test_delong_agrees_with_an_independent_package(seed):
    scores, labels = draw(seed=seed, m=2)
    ci_a = roc_auc(scores[0], labels)
    _, p, theirs_a, theirs_b, auc_a, _, _ = Delong_test(labels, *scores, random_state=0)
    assert ci_a['value'] == pytest.approx(auc_a, abs=1e-6)
    assert (ci_a['ci_low'], ci_a['ci_high']) == pytest.approx(theirs_a, abs=1e-6)
    assert delta_auc(*scores, labels)['p'] == pytest.approx(p, abs=1e-6)
    assert roc_auc(scores[1], labels)['ci_low'] == pytest.approx(theirs_b[0], abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=6, max_size=40))
def test_delong_with_ties_equals_its_definition(rows):
    scores = np.array(rows, float)[:, :2].T
    labels = np.array([row[2] for row in rows], float)
    if min(labels.sum(), (1 - labels).sum()) < 2:
        return
    for ours, theirs in zip(delong(scores, labels), slow_delong(scores, labels), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_auc_with_ties_is_the_mann_whitney_statistic(rows):
    scores, labels = np.array(rows, float).T
    if len(set(labels)) < 2:
        return
    u = stats.mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    value = roc_auc(scores, labels)['value']
    assert value == pytest.approx(u / (labels.sum() * (1 - labels).sum()))
    assert value == pytest.approx(roc_auc_score(labels, scores))


def test_auc_is_invariant_to_patient_order_and_to_monotone_scores():
    (scores,), labels = draw()
    order = np.random.default_rng(1).permutation(len(labels))
    assert roc_auc(scores, labels) == pytest.approx(roc_auc(np.exp(scores[order]), labels[order]))


def test_delong_interval_covers():
    draws = [draw(seed=seed) for seed in range(1000)]
    intervals = [roc_auc(scores[0], labels) for scores, labels in draws]
    assert 0.93 <= np.mean([i['ci_low'] <= 0.77 <= i['ci_high'] for i in intervals]) <= 0.97


def test_delong_test_keeps_its_level_under_equal_models():
    p = [delta_auc(*draw(seed=seed, m=2)[0], draw()[1])['p'] for seed in range(400)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.085


@pytest.mark.parametrize(
    ('scores', 'labels', 'reason'),
    [
        ([0.1, 0.2], [0, 0], 'no positive patients'),
        ([0.1, 0.2], [1, 1], 'no negative patients'),
        ([0.1], [1], 'no neg'),
    ],
)
def test_auc_of_one_class_is_null_with_the_reason(scores, labels, reason):
    result = roc_auc(np.array(scores), np.array(labels))
    assert result['value'] is None
    assert reason in result['reason']


def test_auc_of_equal_scores_is_half_without_interval():
    result = roc_auc(np.full(10, 0.3), np.repeat([0.0, 1.0], 5))
    assert (result['value'], result['ci_low'], result['ci_high']) == (0.5, None, None)
    assert 'all scores are equal' in result['reason']


def test_auc_with_one_positive_has_a_value_and_no_interval():
    result = roc_auc(np.arange(5.0), np.array([0, 0, 0, 1, 0.0]))
    assert (result['value'], result['ci_low']) == (0.75, None)
    assert '1 positive patient' in result['reason']


def test_difference_of_a_model_with_itself_has_p_one_and_no_interval():
    (scores,), labels = draw()
    result = delta_auc(scores, 2 * scores, labels)
    assert (result['value'], result['ci_low'], result['p']) == (0, None, 1.0)
    assert 'alike' in result['reason']


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_interval_and_p_of_a_difference_never_contradict_each_other(seed):
    scores, labels = draw(n=60, seed=seed, m=2)
    result = delta_auc(*scores, labels)
    assert (result['p'] < 0.05) == (result['ci_low'] > 0 or result['ci_high'] < 0)


@pytest.mark.parametrize(('sign', 'value'), [(1, 1.0), (-1, 0.0)])
def test_perfect_separation_has_the_bound_of_disjoint_pairs(sign, value):
    labels = np.repeat([1.0, 0.0], [6, 20])
    result = roc_auc(sign * (labels + np.linspace(0, 0.1, 26)), labels)
    bound = 0.025 ** (1 / 6)  # six pairs in the right order have this chance at an AUC of the bound
    ends = (bound, 1) if value else (0, 1 - bound)
    assert result['value'] == value
    assert (result['ci_low'], result['ci_high']) == pytest.approx(ends)
    assert 'perfect separation' in result['method']


@pytest.mark.parametrize(('count', 'total'), [(9, 10), (0, 7), (7, 7), (1, 1), (300, 1000)])
def test_interval_of_a_proportion_is_that_of_scipy(count, total):
    result, theirs = proportion(count, total), stats.binomtest(count, total).proportion_ci(method='wilson')
    assert (result['ci_low'], result['ci_high']) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert (result['count'], result['total']) == (count, total)


def test_proportion_of_nobody_is_null():
    assert proportion(0, 0)['reason'] == 'no patient in the denominator'


def test_mean_of_one_patient_is_null():
    assert mean(np.ones(1))['value'] is None


def test_equal_values_have_a_mean_without_interval():
    for result in (mean(np.full(9, 0.25)), mean_fraction(np.full(9, 0.25))):
        assert (result['value'], result['ci_low']) == (0.25, None)
        assert 'one value' in result['reason']


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_mean_of_fractions_keeps_its_interval_between_0_and_1(values):
    result = mean_fraction(np.array(values))
    if result['ci_low'] is not None:
        assert 0 <= result['ci_low'] <= result['value'] <= result['ci_high'] <= 1


def test_mean_of_fractions_is_the_delta_method_on_the_logit():
    values = np.array([0.1, 0.2, 0.3, 0.4])  # mean 1/4, standard deviation sqrt(1/60)
    result = mean_fraction(values)
    half = stats.norm.ppf(0.975) * np.sqrt(1 / 60 / 4) / (0.25 * 0.75)
    assert logit(result['ci_high']) - logit(0.25) == pytest.approx(half)


def test_regression_statistics_equal_scikit_learn_and_cover_it():
    rng = np.random.default_rng(0)
    labels = rng.normal(size=200)
    scores = labels + rng.normal(size=200)
    for result, value in (
        (r2(scores, labels, 500), r2_score(labels, scores)),
        (pearson(scores, labels, 500), np.corrcoef(scores, labels)[0, 1]),
    ):
        assert result['value'] == pytest.approx(value)
        assert result['ci_low'] < result['value'] < result['ci_high']


def test_regression_statistics_do_not_depend_on_the_unit():
    rng = np.random.default_rng(0)
    labels, noise = rng.normal(size=(2, 60))
    for function in (r2, pearson):
        whole = function(labels + noise, labels, 300)
        small = function(1e-7 * (labels + noise), 1e-7 * labels, 300)
        assert small == pytest.approx(whole)


def test_regression_statistics_of_equal_labels_are_null():
    nothing = np.ones(10)
    assert r2(np.arange(10.0), nothing)['value'] is None
    assert pearson(np.arange(10.0), nothing)['value'] is None


def counts(n, rng):
    """Skewed counts like numbers of positive nodes, and predictions on their scale."""
    z = rng.normal(size=n)
    noise = np.exp(1.2 * (0.5 * z + 0.75**0.5 * rng.normal(size=n)))
    return np.exp(0.6 * z + 0.3), np.floor(noise).clip(0, 40)


@pytest.mark.slow
@pytest.mark.parametrize('function', [pearson, r2])
def test_intervals_of_skewed_counts_cover(function):
    rng = np.random.default_rng(0)
    scores, labels = counts(2_000_000, rng)
    truth = np.corrcoef(scores, labels)[0, 1] if function is pearson else r2_score(labels, scores)
    hits = [
        result['ci_low'] <= truth <= result['ci_high']
        for result in (function(*counts(150, rng), 500) for _ in range(400))
    ]
    assert np.mean(hits) > 0.9


@pytest.mark.parametrize('size', [1e-200, 1e-7, 1.0, 1e7, 1e200])
def test_r2_and_pearson_do_not_depend_on_the_size_of_the_values(size):
    labels, noise = np.random.default_rng(0).normal(3, 1, (2, 60))
    scores = labels + noise - 3
    for statistic in (r2, pearson):
        expected, scaled = (statistic(scores * k, labels * k, 200) for k in (1.0, size))
        assert scaled['value'] == pytest.approx(expected['value'], rel=1e-9)
        assert scaled['ci_low'] == pytest.approx(expected['ci_low'], rel=1e-6)
    assert r2(scores, labels)['value'] == pytest.approx(r2_score(labels, scores))


def test_r2_of_scores_too_far_away_is_undefined():
    labels = np.arange(60.0)
    assert 'overflows' in r2(labels * 1e200, labels)['reason']
