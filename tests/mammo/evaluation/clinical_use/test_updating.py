"""Recalibration at a site: the tests are those of statsmodels, and the simplest one that fits is taken."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit

from mammo.evaluation.clinical_use.updating import BOTH, INTERCEPT, LEVEL, NONE, closed_tests
from mammo.evaluation.estimates import UndefinedError


def site(n: int, intercept: float, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probs as a bundle says them, and labels of patients whose true risk has another line of the logit."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-0.7, 1.2, n)
    return expit(x), (rng.random(n) < expit(intercept + slope * x)).astype(float)


def test_likelihood_ratios_are_those_of_statsmodels() -> None:
    probs, labels = site(300, -0.3, 0.8)
    x, ones = logit(probs), np.ones((300, 1))
    both = sm.GLM(labels, np.column_stack([ones, x]), family=sm.families.Binomial()).fit()
    shifted = sm.GLM(labels, ones, family=sm.families.Binomial(), offset=x).fit()
    as_is = stats.bernoulli.logpmf(labels.astype(int), probs).sum()
    expected = [2 * (both.llf - as_is), 2 * (both.llf - shifted.llf)]
    found = closed_tests(probs, labels)
    assert [test['chi2'] for test in found['tests']] == pytest.approx(expected, abs=1e-6)
    assert [test['p'] for test in found['tests']] == pytest.approx(
        [stats.chi2.sf(expected[0], 2), stats.chi2.sf(expected[1], 1)]
    )


@pytest.mark.parametrize(
    ('intercept', 'slope', 'method'),
    [(0, 1, NONE), (-0.8, 1, INTERCEPT), (-0.5, 0.4, BOTH), (0.6, 1.8, BOTH)],
)
def test_known_shift_of_a_large_site_is_found_and_undone(intercept: float, slope: float, method: str) -> None:
    found = closed_tests(*site(20_000, intercept, slope))
    assert found['method'] == method
    if found['recalibration']:
        assert found['recalibration']['intercept'] == pytest.approx(intercept, abs=0.06)
        assert found['recalibration']['slope'] == pytest.approx(slope, abs=0.06)
    else:
        assert method == NONE


def test_a_site_like_the_first_is_recalibrated_as_seldom_as_the_level_says() -> None:
    changed = sum(closed_tests(*site(200, 0, 1, seed))['method'] != NONE for seed in range(400))
    assert changed / 400 <= LEVEL + 2.6 * np.sqrt(LEVEL * (1 - LEVEL) / 400)
    assert changed > 0


def test_scores_that_rank_the_wrong_way_are_refused() -> None:
    probs, labels = site(500, 0, 1)
    with pytest.raises(UndefinedError, match='slope is -1'):
        closed_tests(1 - probs, labels)
