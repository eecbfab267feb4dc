"""Vectorised resampling against plain loops and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from mammo.evaluation import resampling
from mammo.evaluation.clinical_use.clinical_utility import slnb_threshold
from mammo.evaluation.entry.model_entry import _resampled
from mammo.evaluation.report.options import Options
from mammo.evaluation.resampling import Replicates, bootstrap, ordered, percentile_interval, point, weighted


def draw(n=150, auc=0.77, rate=0.25, seed=0, m=1):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < round(rate * n)).astype(float)
    return rng.normal(labels * np.sqrt(2) * stats.norm.ppf(auc), 1, (m, n)), labels


rows = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=4, max_size=30)


@settings(deadline=None)
@given(rows=rows, sensitivity=st.sampled_from([0.5, 0.55, 0.8, 0.9, 1.0]))
def test_weights_give_what_scikit_learn_gives_on_repeated_patients(rows, sensitivity):
    scores, labels, counts = np.array(rows, float).T
    counts = counts.astype(np.int32)
    repeated, truth = np.repeat(scores, counts), np.repeat(labels, counts)
    if len(set(truth)) < 2:
        return
    weights = counts[labels == 1][None], counts[labels == 0][None]
    auc, ap, reduction = weighted(ordered(scores, labels), *weights, sensitivity)
    assert auc[0] == pytest.approx(roc_auc_score(truth, repeated))
    assert ap[0] == pytest.approx(average_precision_score(truth, repeated))
    assert reduction[0] == pytest.approx(np.mean(repeated < slnb_threshold(repeated, truth, sensitivity)))


@pytest.mark.parametrize('tied', ['none', 'positives', 'positive and negative', 'all'])
def test_statistics_of_the_patients_as_they_are_equal_scikit_learn(tied):
    (scores,), labels = draw(n=90)
    if tied == 'positive and negative':
        scores[-20:] = scores[:20]
    scores = np.where((tied == 'all') | ((tied == 'positives') & (labels == 1)), scores.round(1), scores)
    auc, ap, reduction = point(scores, labels, 0.9)
    assert auc == pytest.approx(roc_auc_score(labels, scores))
    assert ap == pytest.approx(average_precision_score(labels, scores))
    assert reduction == pytest.approx(np.mean(scores < slnb_threshold(scores, labels, 0.9)))


def test_a_draw_without_a_class_has_no_statistic():
    order = ordered(np.array([0.1, 0.4, 0.9]), np.array([0, 1.0, 1]))
    for n_pos, n_neg in ((0, 3), (3, 0)):
        w_pos, w_neg = np.array([[n_pos, 0]], np.int32), np.array([[n_neg]], np.int32)
        assert np.isnan(weighted(order, w_pos, w_neg, 0.9)).all()


def test_positives_that_were_not_drawn_do_not_spoil_the_precision():
    """The best positive is left out, so that nobody is called at its score."""
    order = ordered(np.array([0.9, 0.5, 0.1]), np.array([1.0, 1, 0]))
    auc, ap, reduction = weighted(order, np.array([[0, 2]], np.int32), np.array([[1]], np.int32), 0.9)
    assert (auc[0], ap[0], reduction[0]) == pytest.approx((1, 1, 1 / 3))


def test_percentile_interval_leaves_out_what_is_undefined():
    assert percentile_interval(np.r_[np.arange(101.0), np.nan]) == pytest.approx((2.5, 97.5))


def test_counts_beyond_16_bits_are_exact():
    """70,000 patients in one stratum: pairs run into billions."""
    n = 70_000
    scores, labels = np.arange(2.0 * n), np.repeat([0.0, 1], n)
    assert point(scores, labels, 0.9)[0] == 1


def test_bootstrap_has_the_distribution_of_a_plain_loop():
    (scores,), labels = draw(n=60)
    ours = bootstrap(scores[None], labels, 4000, np.random.default_rng(0)).roc_auc[0]
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 60, 60) for _ in range(4000)]
    loop = [roc_auc_score(labels[r], scores[r]) for r in rows if len(set(labels[r])) == 2]
    assert np.nanstd(ours) == pytest.approx(np.std(loop), rel=0.06)
    assert np.nanmean(ours) == pytest.approx(np.mean(loop), abs=0.005)


def test_same_seed_gives_the_same_replicates_and_models_share_draws():
    scores, labels = draw(m=2)
    one = bootstrap(scores, labels, 300, np.random.default_rng(3))
    alone = bootstrap(scores[1:], labels, 300, np.random.default_rng(3))
    np.testing.assert_array_equal(one.roc_auc[1], alone.roc_auc[0])
    twin = bootstrap(np.stack([scores[0], scores[0]]), labels, 300, np.random.default_rng(3))
    np.testing.assert_array_equal(*twin.pr_auc)


def test_blocks_do_not_change_how_many_replicates_there_are(monkeypatch):
    scores, labels = draw()
    monkeypatch.setattr(resampling, 'CHUNK', 1000)
    assert bootstrap(scores, labels, 101, np.random.default_rng(0)).reduction.shape == (1, 101)


def test_more_patients_than_a_block_holds_are_drawn_once_at_a_time():
    assert list(resampling.sizes(3, resampling.CHUNK + 1)) == [1, 1, 1]


def test_patients_are_drawn_whatever_their_label():
    scores, labels = draw(n=40, rate=0.1)  # four positives
    replicates = bootstrap(scores, labels, 2000, np.random.default_rng(0)).roc_auc[0]
    without = np.isnan(replicates).mean()
    assert without == pytest.approx(0.9**40, abs=0.012)  # no positive drawn


@pytest.mark.slow
@pytest.mark.parametrize(('n', 'rate'), [(60, 0.4), (150, 0.2), (400, 0.1)])
def test_bootstrap_intervals_cover(n, rate):
    hits = [[low <= truth <= high for (low, high), truth in cell] for cell in covered(n, rate, 500)]
    assert np.all(np.mean(hits, axis=0) > 0.92)


def covered(n, rate, n_draws):
    """Intervals of PR AUC and biopsies spared, with the truth of infinitely many patients."""
    t = np.linspace(-9, 9, 20_001)
    tpr, fpr = stats.norm.sf(t - 1), stats.norm.sf(t)
    area = np.trapezoid(rate * tpr / (rate * tpr + (1 - rate) * fpr) * stats.norm.pdf(t - 1), t)
    spared = rate * 0.1 + (1 - rate) * stats.norm.cdf(1 + stats.norm.ppf(0.1))
    for seed in range(n_draws):
        rng = np.random.default_rng(seed)
        labels = (rng.random(n) < rate).astype(float)
        scores = rng.normal(labels)
        drawn = bootstrap(scores[None], labels, 400, rng)
        estimates = _resampled(scores, labels, Replicates(*(part[0] for part in drawn)), Options())[1:]
        yield [
            ((e['ci_low'], e['ci_high']), truth) for e, truth in zip(estimates, (area, spared), strict=True)
        ]
