"""Calibration and recalibration: simulated truth, scikit-learn, and what is not defined."""

import json

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.interpolate import CubicSpline
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from mammo.evaluation.clinical_use.calibration import (
    brier,
    distances,
    fit_isotonic,
    fit_platt,
    grouped_risk,
    intercept,
    observed_expected,
    recalibrate,
    slope,
    smooth_curve,
    summary,
)
from mammo.evaluation.statistics import UndefinedError


def miscalibrated(n, a, b, seed=0):
    """Probabilities whose logit x relates to the risk by logit(risk) = a + b x."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1, 1.2, n)
    return expit(x), (rng.random(n) < expit(a + b * x)).astype(float)


def test_intercept_and_slope_of_perfect_probabilities_cover_zero_and_one():
    probs, labels = miscalibrated(4000, 0, 1)
    assert intercept(probs, labels)['ci_low'] < 0 < intercept(probs, labels)['ci_high']
    assert slope(probs, labels)['ci_low'] < 1 < slope(probs, labels)['ci_high']
    assert slope(probs, labels)['method'] == 'maximum likelihood, Wald'


def test_recalibration_recovers_simulated_intercept_and_slope():
    probs, labels = miscalibrated(200_000, 0.4, 0.6)
    fitted = fit_platt(probs, labels)
    assert (fitted['intercept'], fitted['slope']) == pytest.approx((0.4, 0.6), abs=0.03)
    assert slope(probs, labels)['value'] == pytest.approx(0.6, abs=0.03)
    again = recalibrate(fitted, probs)
    assert intercept(again, labels)['value'] == pytest.approx(0, abs=1e-6)
    assert slope(again, labels)['value'] == pytest.approx(1, abs=1e-6)


def test_shift_of_the_logit_alone_is_found_by_the_intercept():
    probs, labels = miscalibrated(200_000, -0.7, 1)
    assert intercept(probs, labels)['value'] == pytest.approx(-0.7, abs=0.03)


@pytest.mark.parametrize('function', [slope, intercept])
def test_intervals_cover_the_simulated_value(function):
    truth = {slope: 0.7, intercept: 0.0}[function]
    b = 0.7 if function is slope else 1
    found = [function(*miscalibrated(400, 0, b, seed)) for seed in range(400)]
    assert 0.92 <= np.mean([f['ci_low'] <= truth <= f['ci_high'] for f in found]) <= 0.98


def test_platt_equals_unpenalised_logistic_regression():
    probs, labels = miscalibrated(500, 0.3, 0.8)
    stock = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(probs)[:, None], labels)
    fitted = fit_platt(probs, labels)
    assert (fitted['intercept'], fitted['slope']) == pytest.approx(
        (stock.intercept_[0], stock.coef_[0, 0]), abs=1e-5
    )


def test_recalibration_survives_json_and_rises():
    probs, labels = miscalibrated(500, 0.3, 0.8)
    for fit in (fit_platt, fit_isotonic):
        stored = json.loads(json.dumps(fit(probs, labels), allow_nan=False))
        after = recalibrate(stored, np.linspace(0, 1, 101))
        assert np.all(np.diff(after) >= 0)
        assert 0 <= after.min() <= after.max() <= 1


def test_isotonic_lowers_the_brier_score_it_was_fitted_on():
    probs, labels = miscalibrated(500, 1.0, 0.4)
    assert (
        brier(recalibrate(fit_isotonic(probs, labels), probs), labels)['value']
        < brier(probs, labels)['value']
    )


def test_brier_equals_scikit_learn():
    probs, labels = miscalibrated(300, 0.3, 0.8)
    assert brier(probs, labels)['value'] == pytest.approx(brier_score_loss(labels, probs))


def test_smooth_curve_follows_the_true_risk():
    probs, labels = miscalibrated(100_000, 0.5, 0.5)
    curve = smooth_curve(probs, labels)
    truth = expit(0.5 + 0.5 * logit(np.array(curve['prob'])))
    np.testing.assert_allclose(curve['risk'], truth, atol=0.03)
    assert np.all(np.array(curve['low']) <= curve['high'])


def test_groups_hold_every_patient_once():
    probs, labels = miscalibrated(105, 0, 1)
    groups = grouped_risk(probs, labels)
    assert sum(patients for _, _, patients in groups) == 105
    assert sum(events for _, events, _ in groups) == labels.sum()


@pytest.mark.parametrize(
    ('probs', 'labels', 'reason'),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 'separate the classes'),
        ([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1], 'constant'),
        ([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0], 'no positive patients'),
        ([-0.1, 0.2, 0.3, 1.4], [0, 1, 0, 1], 'outside 0 to 1'),
    ],
)
def test_undefined_slope_is_null_with_the_reason(probs, labels, reason):
    result = slope(np.array(probs), np.array(labels, float))
    assert result['value'] is None
    assert reason in result['reason']


def test_probabilities_of_exactly_zero_and_one_have_no_logit_and_so_no_slope():
    probs, labels = np.array([0, 0.2, 1, 0.7, 0, 1]), np.array([0, 1, 1, 0, 1, 0.0])
    for result in (slope(probs, labels), intercept(probs, labels), distances(probs, labels)['ici']):
        assert result['value'] is None
        assert '4 of 6 probabilities are 0 or 1' in result['reason']
    assert recalibrate(fit_platt(probs, labels), probs).tolist() == pytest.approx([0.5] * 6, abs=0.2)


def test_observed_over_expected_by_hand():
    probs, labels = np.full(50, 0.2), np.repeat([1.0, 0.0], [20, 30])
    result = observed_expected(probs, labels)
    half = 1.959964 * np.sqrt((1 - 0.4) / 20)  # Debray et al. 2017, with the expected number held fixed
    assert result['value'] == pytest.approx(2.0)
    assert (result['ci_low'], result['ci_high']) == pytest.approx(2 * np.exp([-half, half]))


def test_distances_are_those_of_the_curve():
    probs, labels = miscalibrated(5000, 0.5, 0.5)
    curve = smooth_curve(probs, labels, n_points=2000)
    inside = probs[(probs > curve['prob'][0]) & (probs < curve['prob'][-1])]
    gap = np.abs(inside - np.interp(inside, curve['prob'], curve['risk']))
    result = distances(probs, labels)
    assert result['ici']['value'] == pytest.approx(gap.mean(), abs=0.005)
    assert result['e50']['value'] == pytest.approx(np.median(gap), abs=0.002)
    assert result['e50']['value'] <= result['e90']['value']
    assert 'spline' in result['ici']['method']


def test_recalibration_of_one_class_is_refused():
    for fit in (fit_platt, fit_isotonic):
        with pytest.raises(UndefinedError, match='no positive patients'):
            fit(np.array([0.1, 0.2]), np.zeros(2))


def natural_splines(x, knots):
    """Basis (n, 3) of cubic splines that are straight beyond the outer knots, by interpolation: an oracle."""
    splines = [CubicSpline(knots, values, bc_type='natural') for values in np.eye(3)]
    inside = np.clip(x, knots[0], knots[-1])
    return np.stack([s(inside) + s(inside, 1) * (x - inside) for s in splines], axis=1)


@pytest.mark.parametrize('n_points', [101, 7])
def test_smooth_curve_and_distances_are_those_of_an_independent_spline_fit(n_points):
    probs, _ = miscalibrated(600, 0, 1)
    x = logit(probs)
    labels = (np.random.default_rng(1).random(600) < expit(0.3 + 0.5 * x + 0.3 * x**2)).astype(float)
    knots = np.quantile(x, [0.1, 0.5, 0.9])
    fit = sm.Logit(labels, natural_splines(x, knots)).fit(disp=0, tol=1e-12)
    curve = smooth_curve(probs, labels, n_points) if n_points != 101 else smooth_curve(probs, labels)
    assert curve['prob'] == pytest.approx(np.linspace(*np.quantile(probs, [0.01, 0.99]), n_points))
    design = natural_splines(logit(np.array(curve['prob'])), knots)
    middle = design @ fit.params
    half = 1.959964 * np.sqrt(np.diag(design @ fit.cov_params() @ design.T))
    for key, line in dict(low=middle - half, risk=middle, high=middle + half).items():
        assert curve[key] == pytest.approx(expit(line), abs=1e-5)
    gap = np.abs(probs - fit.predict())
    expected = dict(ici=gap.mean(), e50=np.quantile(gap, 0.5), e90=np.quantile(gap, 0.9))
    found = distances(probs, labels)
    assert {key: e['value'] for key, e in found.items()} == pytest.approx(expected, abs=1e-5)
    assert all(e['ci_low'] is e['ci_high'] is None and 'no interval' in e['reason'] for e in found.values())


def test_curve_of_scores_with_a_heap_at_one_value_is_finite():
    """Half of the patients share one probability: two knots coincide."""
    probs = np.r_[np.full(60, 0.3), np.linspace(0.31, 0.6, 60)]
    labels = np.tile([0.0, 1, 0], 40)
    curve = smooth_curve(probs, labels)
    assert np.isfinite([curve[key] for key in ('low', 'risk', 'high')]).all()


def test_summary_holds_each_number_under_its_name():
    probs, labels = miscalibrated(200, 0.3, 0.8)
    assert summary(probs, labels) == dict(
        intercept=intercept(probs, labels),
        slope=slope(probs, labels),
        observed_expected=observed_expected(probs, labels),
        **distances(probs, labels),
    )
    undefined = summary(probs, np.zeros(200))
    assert list(undefined) == ['intercept', 'slope', 'observed_expected', 'ici', 'e50', 'e90']
    assert all('no positive patients' in estimate['reason'] for estimate in undefined.values())


@pytest.mark.parametrize(('n', 'sizes'), [(120, [12] * 10), (54, [11] * 4 + [10]), (99, [11] * 9), (5, [5])])
def test_groups_are_of_at_least_ten_patients_and_at_most_ten_in_number(n, sizes):
    probs = np.random.default_rng(0).permutation(n) / n
    labels = (probs > 0.5).astype(float)
    groups = grouped_risk(probs, labels)
    assert [size for _, _, size in groups] == sizes
    ends = np.cumsum(sizes)
    parts = np.split(np.arange(n) / n, ends[:-1])
    assert [mean for mean, _, _ in groups] == pytest.approx([part.mean() for part in parts])
    assert [events for _, events, _ in groups] == [np.sum(part > 0.5) for part in parts]


def test_certain_probabilities_are_moved_inside_by_a_millionth_when_recalibrated():
    logits = dict(kind='platt', intercept=0.0, slope=1.0)
    assert recalibrate(logits, np.array([0, 0.3, 1])) == pytest.approx([1e-6, 0.3, 1 - 1e-6], rel=1e-6)


def test_isotonic_is_the_mean_of_pooled_neighbours_by_hand():
    probs, labels = np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([0, 1.0, 0, 1, 1])
    fitted = fit_isotonic(probs, labels)
    assert fitted['kind'] == 'isotonic'
    wanted = [0, 0.0, 0.5, 0.5, 1, 1, 1]  # 0.2 and 0.3 are in the wrong order; flat beyond both ends
    assert recalibrate(fitted, np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9])) == pytest.approx(wanted)
    assert fitted['prob'] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_observed_over_expected_counts_the_spread_of_probabilities():
    """Delta method by hand: variance of label / mean label - prob / mean prob over n."""
    probs, labels = np.array([0.1, 0.3, 0.5, 0.7]), np.array([0, 1.0, 0, 1])
    result = observed_expected(probs, labels)
    parts = labels / 0.5 - probs / 0.4
    half = 1.959964 * np.sqrt(np.mean((parts - parts.mean()) ** 2) / 4)
    assert result['value'] == pytest.approx(1.25)
    assert (result['ci_low'], result['ci_high']) == pytest.approx((1.25 * np.exp(-half), 1.25 * np.exp(half)))
