"""Random effects over centres against numbers of R metafor, by simulation, and what is not defined."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from mammo.evaluation.entry.centres import centres, random_effects

# Thirteen trials of the BCG vaccine (Colditz et al. 1994, JAMA 271:698; dat.bcg of R metadat): tuberculosis
# and none among the vaccinated, tuberculosis and none among controls
BCG = np.array(
    [[4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619], [33, 5036, 47, 5761],
     [180, 1361, 372, 1079], [8, 2537, 10, 619], [505, 87886, 499, 87892], [29, 7470, 45, 7232],
     [17, 1699, 65, 1600], [186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825]], float,
)  # fmt: skip


def log_risk_ratios():
    a, b, c, d = BCG.T
    return np.log(a / (a + b)) - np.log(c / (c + d)), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def test_summary_of_the_bcg_trials_equals_metafor():
    # metafor: rma(yi, vi, data = dat, method = "REML"), as its documentation prints it: estimate -0.7145,
    # tau^2 0.3132, I^2 92.22 %; I^2 0.9222139 in the tests of R performance (test-model_performance.rma.R)
    result = random_effects(*log_risk_ratios())
    assert result['value'] == pytest.approx(-0.7145, abs=5e-5)
    assert result['tau2'] == pytest.approx(0.3132, abs=5e-5)
    assert result['i2'] == pytest.approx(0.9222139, abs=5e-6)


def test_interval_and_prediction_interval_follow_their_formulas():
    values, variances = log_risk_ratios()
    result = random_effects(values, variances)
    weights = 1 / (variances + result['tau2'])
    spread = np.sum(weights * (values - result['value']) ** 2) / 12
    error = np.sqrt(max(spread, 1) / np.sum(weights))
    assert result['ci_high'] - result['value'] == pytest.approx(stats.t.ppf(0.975, 12) * error)
    reach = stats.t.ppf(0.975, 11) * np.sqrt(result['tau2'] + error**2)
    assert result['prediction_low'] == pytest.approx(result['value'] - reach)


def test_equal_studies_have_no_heterogeneity_and_the_plain_mean():
    result = random_effects(np.full(4, 0.3), np.array([0.1, 0.2, 0.3, 0.4]))
    assert (result['tau2'], result['i2']) == (0, 0)
    assert result['value'] == pytest.approx(0.3)


def test_two_studies_have_no_prediction_interval():
    assert random_effects(np.array([0.1, 0.9]), np.array([0.1, 0.1]))['prediction_low'] is None


def test_interval_covers_the_mean_of_centres():
    rng, hits = np.random.default_rng(0), []
    for _ in range(400):
        variances = rng.uniform(0.02, 0.1, 6)
        result = random_effects(rng.normal(0.5, np.sqrt(0.05 + variances)), variances)
        hits.append(result['ci_low'] <= 0.5 <= result['ci_high'])
    assert np.mean(hits) > 0.92


def patients(sizes, seed=0):
    rng = np.random.default_rng(seed)
    cohort = np.repeat([f'site {i}' for i in range(len(sizes))], sizes)
    risk = rng.normal(-1, 1.2, len(cohort))
    labels = (rng.random(len(cohort)) < expit(risk)).astype(float)
    return pd.DataFrame(dict(score=expit(risk), label=labels, cohort=cohort))


def test_every_cohort_is_estimated_and_summarised():
    result = centres(patients([150, 120, 200]), 20)
    assert [row['n_patients'] for row in result['cohorts']] == [150, 120, 200]
    auc = result['summary']['roc_auc']
    values = [row['roc_auc']['value'] for row in result['cohorts']]
    assert min(values) < auc['value'] < max(values)
    assert (
        0 < auc['prediction_low'] < auc['ci_low'] < auc['value'] < auc['ci_high'] < auc['prediction_high'] < 1
    )
    assert result['summary']['slope']['n_cohorts'] == 3


def test_small_cohorts_are_listed_without_an_estimate_and_not_summarised():
    result = centres(patients([150, 120, 5]), 20)
    assert result['cohorts'][2]['roc_auc']['reason'] == 'fewer than 20 patients'
    assert result['summary']['roc_auc']['n_cohorts'] == 2


def test_one_cohort_has_no_summary():
    assert centres(patients([50]), 20) is None
    assert centres(patients([50]).drop(columns='cohort'), 20) is None
