"""Thresholds with a promise: the promise holds, is not lavish, and is refused where it cannot be kept."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from mammo.evaluation.clinical_use.thresholds import positives_needed, promised_threshold


@pytest.mark.parametrize(
    ('n_positive', 'sensitivity'), [(20, 0.85), (50, 0.9), (150, 0.9), (400, 0.9)]
)  # with 20 none keeps 0.9
@pytest.mark.parametrize('shape', ['normal', 'skewed'])
def test_promise_holds_in_95_percent_of_studies(n_positive: int, sensitivity: float, shape: str) -> None:
    rng, kept = np.random.default_rng(n_positive), []
    for _ in range(1000):
        scores = rng.normal(size=n_positive)
        threshold = promised_threshold(
            np.exp(scores) if shape == 'skewed' else scores, np.ones(n_positive), sensitivity, 0.95
        )['threshold']
        kept.append(norm.sf(np.log(threshold) if shape == 'skewed' else threshold) >= sensitivity)
    assert np.mean(kept) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 1000)


def test_threshold_is_the_highest_that_the_exact_binomial_bound_allows() -> None:
    scores = np.arange(200.0)
    promise = promised_threshold(scores, np.ones(200), 0.9, 0.95)
    missed = promise['n_missed']
    # were the true sensitivity 0.9, so few misses would be seen in 5 % of studies at most
    assert binom.cdf(missed, 200, 0.1) <= 0.05 < binom.cdf(missed + 1, 200, 0.1)


@pytest.mark.parametrize(
    ('sensitivity', 'confidence', 'n'), [(0.9, 0.95, 29), (0.95, 0.95, 59), (0.8, 0.9, 11)]
)
def test_fewest_positives_are_those_of_the_formula(sensitivity: float, confidence: float, n: int) -> None:
    assert positives_needed(sensitivity, confidence) == n
    scores = np.arange(float(n))
    assert promised_threshold(scores, np.ones(n), sensitivity, confidence)['threshold'] == 0
    refused = promised_threshold(scores[1:], np.ones(n - 1), sensitivity, confidence)
    assert refused['threshold'] is None
    assert refused['reason'] == f'not attainable with {n - 1} positives, {n} are needed'


def test_negatives_have_no_say() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    scores = rng.normal(size=300)
    other = np.where(labels == 1, scores, rng.normal(size=300))
    assert promised_threshold(scores, labels, 0.9, 0.95) == promised_threshold(other, labels, 0.9, 0.95)
