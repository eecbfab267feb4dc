"""Differences of proportions on the same patients: by hand, by simulation, and never without width."""

import numpy as np
import pytest
from scipy.stats import norm

from mammo.evaluation.differences import delta_npv, delta_proportion, delta_resampled


def test_paired_difference_by_hand():
    a = np.repeat([True, True, False, False], [40, 8, 3, 49])
    b = np.repeat([True, False, True, False], [40, 8, 3, 49])
    result = delta_proportion(a, b)
    more, less = 9 / 102, 4 / 102  # Bonett & Price 2012, equation 4
    half = norm.ppf(0.975) * np.sqrt((more + less - (more - less) ** 2) / 102)
    assert result['value'] == pytest.approx(0.05)
    ends = (more - less - half, more - less + half)
    assert (result['ci_low'], result['ci_high']) == pytest.approx(ends)


def test_models_that_agree_on_everybody_still_have_an_uncertain_difference():
    same = np.repeat([True, False], [9, 11])
    result = delta_proportion(same, same)
    assert result['ci_low'] < 0 == result['value'] < result['ci_high']


def test_swapping_the_models_turns_the_interval_round():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 80)) < 0.4
    labels = (rng.random(80) < 0.3).astype(float)
    for one, two in (
        (delta_proportion(a, b), delta_proportion(b, a)),
        (delta_npv(a, b, labels), delta_npv(b, a, labels)),
    ):
        assert one['value'] == pytest.approx(-two['value'])
        assert (one['ci_low'], one['ci_high']) == pytest.approx((-two['ci_high'], -two['ci_low']))


def test_nobody_below_a_threshold_is_no_predictive_value():
    everybody, nobody = np.full(5, True), np.full(5, False)
    assert 'no patient below' in delta_npv(everybody, nobody, np.zeros(5))['reason']
    assert delta_npv(nobody, nobody, np.zeros(5))['value'] is None
    assert delta_proportion(nobody[:0], nobody[:0])['value'] is None


def test_equal_replicates_have_no_interval():
    result = delta_resampled(0.0, np.full(9, 0.7), np.full(9, 0.7))
    assert (result['value'], result['ci_low']) == (0, None)


@pytest.mark.parametrize(('n', 'overlap'), [(60, 0.9), (150, 0.9), (150, 0.5)])
def test_intervals_cover_where_models_mostly_agree(n, overlap):
    """Risks 0.05 below both thresholds, 0.15 where only one model calls; sensitivities differ by design."""
    rng, hits = np.random.default_rng(0), []
    for _ in range(600):
        group = rng.choice(
            4, n, p=[0.5 * overlap, 0.5 * (1 - overlap), 0.25 * (1 - overlap), 0.25 + 0.25 * overlap]
        )
        labels = (rng.random(n) < np.array([0.05, 0.15, 0.15, 0.5])[group]).astype(float)
        called_a, called_b = group != 0, group != 0
        called_a, called_b = called_a & (group != 1), called_b & (group != 2)
        npv = []
        for left, right in ((0.5 * overlap, 0.5 * (1 - overlap)), (0.5 * overlap, 0.25 * (1 - overlap))):
            npv.append((0.95 * left + 0.85 * right) / (left + right))
        result = delta_npv(called_a, called_b, labels)
        if result['value'] is not None:
            hits.append(result['ci_low'] <= npv[0] - npv[1] <= result['ci_high'])
    assert np.mean(hits) > 0.92
