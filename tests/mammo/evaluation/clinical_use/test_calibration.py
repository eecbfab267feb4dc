"""Calibration and recalibration: simulated truth, scikit-learn, and what is not defined."""

import json

import numpy as np
import pytest
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
