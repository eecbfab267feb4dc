"""Where estimates begin, end or are not defined: few patients, equal values, perfect order, wider ends."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from mammo.evaluation import statistics
from mammo.evaluation.resampling import draws, percentile_interval
from mammo.evaluation.statistics import (
    delong,
    delta_auc,
    mean,
    mean_fraction,
    pearson,
    placements,
    proportion,
    r2,
    roc_auc,
)

Z = stats.norm.ppf(0.975)
FOUR = np.array([0, 0, 1, 1.0])


def test_placements_are_the_shares_of_the_other_class_beaten():
    of_pos, of_neg = placements(np.array([[1, 2, 2, 3.0]]), FOUR)
    assert of_pos.tolist() == [[0.75, 1]]  # the tie counts half
    assert of_neg.tolist() == [[1, 0.75]]


def test_two_patients_of_each_class_are_enough_for_an_interval():
    scores = np.array([1, 3, 2, 4.0])
    result = roc_auc(scores, FOUR)
    # placements 0.5 and 1 in either class: variances 1/8, so 1/16 + 1/16
    assert result['value'] == 0.75
    assert result['ci_low'] == pytest.approx(0.75 - Z * np.sqrt(1 / 8))
    assert result['ci_high'] == 1
    assert result['method'] == 'DeLong'


def test_interval_is_cut_at_0_as_at_1():
    result = roc_auc(np.array([2, 4, 1, 3.0]), FOUR)
    assert (result['value'], result['ci_low']) == (0.25, 0)
    assert result['ci_high'] == pytest.approx(0.25 + Z * np.sqrt(1 / 8))


@pytest.mark.parametrize('labels', [[1, 0, 0, 0], [1, 1, 1, 0]])
def test_one_patient_of_a_class_gives_a_value_without_interval(labels):
    result = roc_auc(np.arange(4.0), np.array(labels, float))
    assert (result['value'], result['ci_low'], result['ci_high']) == (0, None, None)
    assert result['reason'].startswith('no interval: ')


def test_perfect_order_has_as_many_pairs_as_the_smaller_class():
    for labels in (np.repeat([0.0, 1.0], [3, 9]), np.repeat([0.0, 1.0], [9, 3])):
        result = roc_auc(np.arange(12.0), labels)
        assert (result['value'], result['ci_high']) == (1, 1)
        assert result['ci_low'] == pytest.approx(0.025 ** (1 / 3))
        assert 'of 3 disjoint pairs' in result['method']


def test_covariance_of_one_model_is_a_matrix():
    value, covariance = delong(np.array([[1, 3, 2, 4.0]]), FOUR)
    assert value.tolist() == [0.75]
    assert covariance == pytest.approx(np.array([[1 / 8]]))


def test_models_that_both_separate_have_no_difference_and_p_1():
    result = delta_auc(np.arange(4.0), np.array([1, 0, 3, 2.0]), FOUR)
    assert (result['value'], result['p'], result['ci_low']) == (0, 1.0, None)


def test_perfect_against_perfectly_wrong_has_a_difference_without_interval_or_p():
    result = delta_auc(np.arange(4.0), -np.arange(4.0), FOUR)
    assert (result['value'], result['p'], result['ci_low']) == (1, None, None)
    assert 'each separates the classes' in result['reason']


def test_a_difference_is_a_minus_b_with_the_covariance_counted_twice():
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], [30, 20])
    a = labels + rng.normal(size=50)
    b = a + rng.normal(size=50)
    auc, covariance = delong(np.stack([a, b]), labels)
    half = Z * np.sqrt(covariance[0, 0] - 2 * covariance[0, 1] + covariance[1, 1])
    result = delta_auc(a, b, labels)
    assert (result['ci_low'], result['value'], result['ci_high']) == pytest.approx(
        (auc[0] - auc[1] - half, auc[0] - auc[1], auc[0] - auc[1] + half)
    )
    assert result['p'] == pytest.approx(2 * stats.norm.sf(abs(auc[0] - auc[1]) / (half / Z)))
    assert delta_auc(b, a, labels)['p'] == pytest.approx(result['p'])


@pytest.mark.parametrize('labels', [[0, 1, 1, 1], [1, 0, 0, 0]])
def test_a_difference_needs_two_patients_of_each_class(labels):
    assert delta_auc(np.arange(4.0), np.array([1, 0, 3, 2.0]), np.array(labels, float))['value'] is None


def test_proportion_of_all_and_of_none_stays_between_0_and_1():
    assert proportion(0, 3)['ci_low'] == pytest.approx(0, abs=1e-15)
    assert proportion(0, 3)['ci_low'] >= 0
    assert proportion(3, 3)['ci_high'] <= 1
    assert proportion(3, 3)['ci_high'] == pytest.approx(1, abs=1e-15)
    assert proportion(0, 3)['ci_high'] == pytest.approx(Z**2 / 3 / (1 + Z**2 / 3))


def test_mean_has_the_standard_error_of_a_sample():
    result = mean(np.array([1, 2, 3, 6.0]))  # mean 3, variance 14/3
    half = Z * np.sqrt(14 / 3 / 4)
    assert (result['ci_low'], result['value'], result['ci_high']) == pytest.approx((3 - half, 3, 3 + half))
    assert mean(np.array([1, 3.0]))['ci_low'] == pytest.approx(2 - Z)  # two are enough
    assert mean(np.array([5.0]))['reason'] == 'fewer than two patients'


def test_values_that_differ_by_rounding_are_one_value():
    assert mean(1 + np.array([0, 1e-15, 2e-15]))['ci_low'] is None
    assert mean(1 + np.array([0, 1e-9, 2e-9]))['ci_low'] is not None


@pytest.mark.parametrize('values', [[0, 0], [1, 1]])
def test_fractions_that_are_all_0_or_1_have_no_interval(values):
    result = mean_fraction(np.array(values, float))
    assert (result['value'], result['ci_low']) == (values[0], None)


def test_mean_of_fractions_has_both_ends_on_the_logit():
    values = np.array([0, 0.5, 1])
    half = Z * np.sqrt(0.25 / 3) / 0.25
    result = mean_fraction(values)
    assert (result['ci_low'], result['ci_high']) == pytest.approx(
        tuple(expit(logit(0.5) + half * np.array([-1, 1])))
    )


# ---- regression -----------------------------------------------------------------------------------------

X, Y = np.random.default_rng(5).normal(size=(2, 40))
Y = X + Y


def resamples(n_bootstrap: int) -> list[np.ndarray]:
    """Places of the patients in each draw, the same draws as those of the estimates."""
    weights = draws(len(X), n_bootstrap, np.random.default_rng(0))
    return [np.repeat(np.arange(len(X)), row) for row in weights]


def test_interval_of_a_correlation_is_the_wider_of_its_two():
    def z_and_error(rows):
        x, y = ((v[rows] - v[rows].mean()) / v[rows].std() for v in (X, Y))
        r = np.mean(x * y)
        influence = x * y - r * (x**2 + y**2) / 2  # of r, Steiger & Hakstian 1982
        return np.arctanh(r), np.sqrt(np.sum(influence**2)) / len(rows) / (1 - r**2)

    z0, error0 = z_and_error(np.arange(len(X)))
    z, error = np.array([z_and_error(rows) for rows in resamples(300)]).T
    t = np.quantile((z - z0) / error, [0.975, 0.025])
    studentised = np.tanh(z0 - t * error0)
    percentile = np.tanh(np.quantile(z, [0.025, 0.975]))
    result = pearson(X, Y, 300)
    assert result['ci_low'] == pytest.approx(min(percentile[0], studentised[0]))
    assert result['ci_high'] == pytest.approx(max(percentile[1], studentised[1]))


def test_interval_of_r2_is_the_wider_of_its_two():
    unexplained = np.array([np.mean((Y[rows] - X[rows]) ** 2) / np.var(Y[rows]) for rows in resamples(300)])
    value = 1 - np.mean((Y - X) ** 2) / np.var(Y)
    half = Z * np.std(np.log(unexplained))
    percentile = 1 - np.quantile(unexplained, [0.975, 0.025])
    result = r2(X, Y, 300)
    assert result['value'] == pytest.approx(value)
    assert result['ci_low'] == pytest.approx(min(percentile[0], 1 - (1 - value) * np.exp(half)))
    assert result['ci_high'] == pytest.approx(max(percentile[1], 1 - (1 - value) * np.exp(-half)))


@pytest.mark.parametrize('function', [pearson, r2])
def test_four_patients_are_enough_and_three_are_not(function):
    assert function(np.array([1, 2, 3, 5.0]), np.array([1, 3, 2, 4.0]), 200)['value'] is not None
    assert 'fewer than four' in function(np.array([1, 2, 3.0]), np.array([1, 3, 2.0]), 200)['reason']


def test_patients_on_one_line_have_no_interval():
    result = pearson(np.arange(9.0), 2 * np.arange(9.0) + 1, 200)
    assert (result['value'], result['ci_low']) == (pytest.approx(1), None)
    falling = pearson(np.arange(9.0), -np.arange(9.0), 200)
    assert (falling['value'], falling['ci_low']) == (pytest.approx(-1), None)


def test_perfect_predictions_have_an_r2_of_1_without_interval():
    result = r2(np.arange(9.0), np.arange(9.0), 200)
    assert (result['value'], result['ci_low']) == (1, None)


def test_equal_scores_have_no_correlation_but_an_r2():
    scores, labels = np.full(9, 2.0), np.arange(9.0)
    assert pearson(scores, labels, 200)['value'] is None
    assert r2(scores, labels, 200)['value'] == pytest.approx(1 - np.mean((labels - 2) ** 2) / np.var(labels))


def test_another_seed_gives_another_interval_and_the_same_seed_the_same():
    for function in (pearson, r2):
        assert function(X, Y, 200, seed=1) == function(X, Y, 200, seed=1)
        assert function(X, Y, 200, seed=1)['ci_low'] != function(X, Y, 200, seed=2)['ci_low']


def test_draws_of_patients_on_one_line_are_left_out_of_a_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=4)  # a draw of two of the four has a correlation of 1 or -1
    result = pearson(x, x + rng.normal(size=4), 500)
    assert -0.999 < result['ci_low'] < result['ci_high'] < 0.999


def test_estimates_name_their_method():
    scores, labels = np.array([1, 3, 2, 4.0]), FOUR
    assert delta_auc(scores, np.arange(4.0)[::-1], labels)['method'] == 'DeLong, paired'
    assert mean(scores)['method'] == 'normal'
    assert mean(scores, 'other')['method'] == 'other'


def test_draws_without_spread_are_left_out():
    labels = np.array([0, 0, 0, 0, 0, 1.0])  # a third of the draws lack the one that differs
    result = r2(np.array([0, 0.1, 0, 0, 0, 0.5]), labels, 400)
    assert np.isfinite([result['ci_low'], result['ci_high']]).all()


def test_percentile_interval_has_95_percent_between_its_ends():
    low, high = percentile_interval(np.append(np.arange(1001.0), np.nan))
    assert (low, high) == (25, 975)


def test_draws_hold_n_patients_each_and_all_are_as_likely():
    weights = draws(5, 4000, np.random.default_rng(0))
    assert (weights.sum(1) == 5).all()
    assert weights.mean(0) == pytest.approx(np.ones(5), abs=0.05)
    assert weights.var(0) == pytest.approx(np.full(5, 0.8), abs=0.06)  # binomial: 5 x 1/5 x 4/5


def test_constant_is_told_by_the_size_of_the_values():
    assert statistics._is_constant(1e9 + np.array([0, 1e-4]))
    assert not statistics._is_constant(1e-9 * np.array([1, 1.001]))
