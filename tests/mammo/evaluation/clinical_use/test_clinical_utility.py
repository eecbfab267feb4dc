"""Net benefit and spared biopsies, by hand and by closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from mammo.evaluation.clinical_use.clinical_utility import (
    at_threshold,
    benefit,
    delta_net_benefit,
    mean_benefit,
    net_benefit,
    slnb,
    slnb_threshold,
    threshold_table,
)
from mammo.evaluation.report.options import Options

GRID = Options().thresholds


def draw(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(-1.5, 1, n)
    return expit(x), (rng.random(n) < expit(x)).astype(float)


@pytest.mark.parametrize(
    ('threshold', 'expected'), [(0.05, 0.0947368), (0.10, 0.0444444), (0.20, -0.0750000)]
)
def test_treat_all_at_prevalence_14_percent(threshold, expected):
    labels = np.repeat([1.0, 0.0], [14, 86])
    rows = {row['threshold']: row for row in net_benefit(np.linspace(0, 1, 100), labels, GRID)}
    assert rows[threshold]['treat_all'] == pytest.approx(expected, abs=5e-8)
    assert rows[threshold]['treat_none'] == 0


def test_net_benefit_is_the_closed_form_at_every_threshold():
    probs, labels = draw()
    for row in net_benefit(probs, labels, GRID):
        t, n = row['threshold'], len(labels)
        tp, fp = np.sum((probs >= t) & (labels == 1)), np.sum((probs >= t) & (labels == 0))
        assert row['model'] == pytest.approx(tp / n - fp / n * t / (1 - t))


def test_net_benefit_interval_has_the_width_of_a_bootstrap():
    probs, labels = draw()
    row = net_benefit(probs, labels, np.array([0.2]))[0]
    parts, rng = benefit(probs, labels, 0.2), np.random.default_rng(0)
    low, high = np.quantile(rng.choice(parts, (4000, len(parts))).mean(axis=1), [0.025, 0.975])
    assert (row['ci_low'], row['ci_high']) == pytest.approx((low, high), abs=0.004)


def test_a_probability_at_the_threshold_is_called_also_in_the_interval_of_the_net_benefit():
    labels = np.array([0, 0, 0, 1] * 10)
    on, above = (net_benefit(np.full(40, p), labels, np.array([0.2]))[0] for p in (0.2, 0.3))
    assert on == above


def test_difference_in_net_benefit_is_that_of_the_two_curves():
    (a, labels), (b, _) = draw(), draw(seed=1)
    differences = delta_net_benefit(a, b, labels, GRID)
    for row, of_a, of_b in zip(
        differences, net_benefit(a, labels, GRID), net_benefit(b, labels, GRID), strict=True
    ):
        assert row['value'] == pytest.approx(of_a['model'] - of_b['model'])
    same = delta_net_benefit(a, a, labels, GRID)
    assert all(row['value'] == 0 and row['ci_low'] is None and row['reason'] for row in same)


def test_scores_that_are_no_probabilities_have_no_net_benefit():
    scores, labels = np.array([-1.0, 0.5, 2.0]), np.array([0, 1, 1.0])
    assert net_benefit(scores, labels, GRID) == threshold_table(scores, labels) == []
    assert delta_net_benefit(scores, scores, labels, GRID) == []


def test_net_benefit_of_few_patients_has_an_interval_of_some_width():
    row = net_benefit(np.array([0.7]), np.array([1.0]), np.array([0.3]))[0]
    assert row['ci_low'] < row['model'] == 1 <= row['ci_high']
    nobody = net_benefit(np.array([0.1, 0.2]), np.array([0.0, 1.0]), np.array([0.5]))[0]
    assert nobody['ci_low'] < 0 == nobody['model'] < nobody['ci_high']


def test_biopsies_avoided_are_true_negatives_less_what_misses_cost():
    probs, labels = draw()
    for row in net_benefit(probs, labels, GRID):
        t, n, below = row['threshold'], len(labels), probs < row['threshold']
        tn, fn = np.sum(below & (labels == 0)), np.sum(below & (labels == 1))
        assert row['avoided_per_100'] == pytest.approx(100 * (tn - fn * (1 - t) / t) / n)


def test_thresholds_reach_both_ends_of_the_range():
    assert Options(threshold_range=(0.05, 0.3)).thresholds.tolist() == pytest.approx(np.arange(5, 31) / 100)
    assert Options(threshold_range=(0.101, 0.104)).thresholds.tolist() == [0.101, 0.104]


# scores falling, 1 = positive: threshold, spared of n, missed positives, npv
CASES = {
    'ten positives: the ninth is kept': ([*range(20, 0, -1)], [1] * 10 + [0] * 10, 12, 11, 1, 10 / 11),
    'two positives: ninety percent needs both': ([4, 3, 2, 1], [1, 0, 1, 0], 2, 1, 0, 1.0),
    'worst score is positive: nobody is spared': ([3, 2, 1], [1, 0, 1], 1, 0, 0, None),
    'negatives tied with the threshold are not spared': ([5, 3, 3, 3, 1], [1, 1, 0, 0, 0], 3, 1, 0, 1.0),
    'positives tied at the threshold are all kept': ([5] * 8 + [2, 2, 1], [1] * 8 + [1, 1, 0], 2, 1, 0, 1.0),
    'all scores equal': ([1, 1, 1, 1], [1, 0, 0, 1], 1, 0, 0, None),
    'one positive': ([3, 2, 1], [0, 1, 0], 2, 1, 0, 1.0),
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_slnb_by_hand(case):
    scores, labels, threshold, spared, missed, npv = case
    scores, labels = np.array(scores, float), np.array(labels, float)
    found = slnb_threshold(scores, labels, 0.9)
    result = slnb(scores, labels, found, 'test')
    assert result['threshold_chosen_on'] == 'test'
    assert (found, result['threshold']) == (threshold, threshold)
    assert result['reduction_rate']['count'] == spared
    assert result['reduction_rate']['value'] == pytest.approx(spared / len(scores))
    assert result['fnr']['value'] == pytest.approx(missed / labels.sum())
    assert result['npv']['value'] == (None if npv is None else pytest.approx(npv))
    assert result['sensitivity']['value'] >= 0.9


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40), st.floats(0.05, 1))
def test_no_higher_threshold_keeps_the_sensitivity(rows, sensitivity):
    scores, labels = np.array(rows, float).T
    if not labels.sum():
        return
    threshold = slnb_threshold(scores, labels, sensitivity)
    positives = scores[labels == 1]
    assert np.mean(positives >= threshold) >= sensitivity - 1e-9
    assert np.mean(positives > threshold) < sensitivity


def test_threshold_may_differ_between_patients():
    result = slnb(np.array([0.3, 0.3]), np.array([1.0, 0.0]), np.array([0.2, 0.4]), 'development')
    assert (result['threshold'], result['reduction_rate']['count'], result['fnr']['count']) == (None, 1, 0)


def test_counts_at_a_threshold_by_hand():
    result = at_threshold(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 0, 1, 0.0]), 0.5)
    values = {key: estimate['value'] for key, estimate in result.items()}
    expected = dict(sensitivity=1, specificity=0.5, ppv=2 / 3, npv=1, fnr=0, reduction_rate=0.25)
    assert values == pytest.approx(expected)


def test_every_share_at_a_threshold_has_its_own_denominator():
    """Four events and six others, three and two of them called: no two denominators agree."""
    labels, called = np.repeat([1.0, 0], [4, 6]), np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0.0])
    shares = {key: e['value'] for key, e in at_threshold(called, labels, 0.5).items()}
    assert shares == pytest.approx(
        dict(sensitivity=3 / 4, specificity=4 / 6, ppv=3 / 5, npv=4 / 5, fnr=1 / 4, reduction_rate=5 / 10)
    )


def test_threshold_table_counts_at_each_threshold_of_the_design():
    probs, labels = draw()
    table = threshold_table(probs, labels)
    assert [row['threshold'] for row in table] == [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5]
    for row in table:
        assert {k: v for k, v in row.items() if k != 'threshold'} == at_threshold(
            probs, labels, row['threshold']
        )


def test_a_probability_equal_to_the_threshold_is_called_positive():
    probs, labels = np.array([0.2, 0.2, 0.1]), np.array([1.0, 0, 0])
    assert benefit(probs, labels, 0.2).tolist() == pytest.approx([1, -0.25, 0])
    (row,) = net_benefit(probs, labels, np.array([0.2]))
    assert row['model'] == pytest.approx((1 - 0.25) / 3)
    assert row['ci_low'] < row['model'] < row['ci_high']


def test_mean_benefit_is_that_of_each_patient_over_thresholds():
    probs, labels = np.array([0.5, 0.5, 0.15]), np.array([1.0, 0, 0])
    parts = mean_benefit(probs, labels, np.array([0.1, 0.2]))
    assert parts.tolist() == pytest.approx([1, -(1 / 9 + 1 / 4) / 2, -(1 / 9) / 2])


def wilson(count, n, z=1.959964):
    """Ends of Wilson's interval."""
    p = count / n
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


@pytest.mark.parametrize(('tp', 'fp', 'n', 't'), [(30, 50, 200, 0.4), (3, 1, 12, 0.7), (8, 0, 8, 0.3)])
def test_net_benefit_interval_is_that_of_zou_and_donner(tp, fp, n, t):
    """Their formula for w1 p1 + w2 p2 with w2 = -odds and the correlation of two shares of a multinomial."""
    called = np.arange(n) < tp + fp
    labels = (np.arange(n) < tp).astype(float)
    (row,) = net_benefit(np.where(called, 0.9, 0.05), labels, np.array([t]))
    odds, p, q = t / (1 - t), tp / n, fp / n
    (l1, u1), (l2, u2) = wilson(tp, n), wilson(fp, n)
    r = -np.sqrt(p * q / ((1 - p) * (1 - q))) if p < 1 else 0
    low = np.sqrt((p - l1) ** 2 + odds**2 * (u2 - q) ** 2 - 2 * r * odds * (p - l1) * (u2 - q))
    high = np.sqrt((u1 - p) ** 2 + odds**2 * (q - l2) ** 2 - 2 * r * odds * (u1 - p) * (q - l2))
    value = p - odds * q
    assert (row['model'], row['ci_low'], row['ci_high']) == pytest.approx((value, value - low, value + high))


def test_difference_in_net_benefit_tells_threshold_and_method():
    (a, labels), (b, _) = draw(), draw(seed=1)
    rows = delta_net_benefit(a, b, labels, np.array([0.1, 0.25]))
    assert [row['threshold'] for row in rows] == [0.1, 0.25]
    parts = benefit(a, labels, 0.1) - benefit(b, labels, 0.1)
    half = 1.959964 * parts.std(ddof=1) / np.sqrt(len(parts))
    assert rows[0]['ci_high'] - rows[0]['ci_low'] == pytest.approx(2 * half, rel=0.02)
    assert 'paired' in rows[0]['method']
