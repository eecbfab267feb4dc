"""Vectorised resampling against plain loops and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from mammo.evaluation import resampling
from mammo.evaluation.clinical_utility import slnb_threshold
from mammo.evaluation.resampling import (
    bca_interval,
    bootstrap,
    leave_one_out,
    ordered,
    percentile_interval,
    permutation_test,
    weighted,
)


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


def test_bootstrap_has_the_distribution_of_a_plain_loop():
    (scores,), labels = draw(n=60)
    ours = bootstrap(scores[None], labels, 4000, np.random.default_rng(0)).roc_auc[0]
    rng = np.random.default_rng(1)
    pos, neg = scores[labels == 1], scores[labels == 0]
    wins = pos[:, None] > neg[None, :]
    loop = [wins[np.ix_(rng.integers(0, 15, 15), rng.integers(0, 45, 45))].mean() for _ in range(4000)]
    assert np.std(ours) == pytest.approx(np.std(loop), rel=0.06)
    assert np.mean(ours) == pytest.approx(np.mean(loop), abs=0.005)


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


def test_leave_one_out_equals_leaving_one_out():
    (scores,), labels = draw(n=30)
    without_pos, without_neg = leave_one_out(scores, labels)
    keep = np.delete(np.arange(30), np.flatnonzero(labels == 1)[2])
    assert without_pos.pr_auc[2] == pytest.approx(average_precision_score(labels[keep], scores[keep]))
    keep = np.delete(np.arange(30), np.flatnonzero(labels == 0)[5])
    assert without_neg.roc_auc[5] == pytest.approx(roc_auc_score(labels[keep], scores[keep]))


def test_bca_agrees_with_scipy_on_one_sample():
    sample = np.random.default_rng(0).exponential(size=40)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=20_000, method='BCa', rng=np.random.default_rng(1)
    )
    leave_out = np.array([np.delete(sample, i).mean() for i in range(40)])
    ours = bca_interval(theirs.bootstrap_distribution, sample.mean(), [leave_out])
    assert ours == pytest.approx(theirs.confidence_interval, abs=2e-3)
    assert ours != pytest.approx(percentile_interval(theirs.bootstrap_distribution), abs=2e-3)


def test_bca_of_a_constant_statistic_is_the_percentile_interval():
    assert bca_interval(np.full(50, 0.5), 0.5, [np.full(4, 0.5)]) == (0.5, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize('interval', ['percentile', 'bca'])
def test_bootstrap_interval_covers(interval):
    assert 0.93 <= coverage(interval, n_draws=1000) <= 0.97


def coverage(interval, n_draws):
    hits = 0
    for seed in range(n_draws):
        scores, labels = draw(seed=seed)
        replicates = bootstrap(scores, labels, 1000, np.random.default_rng(seed)).roc_auc[0]
        low, high = percentile_interval(replicates)
        if interval == 'bca':
            value, left_out = roc_auc_score(labels, scores[0]), leave_one_out(scores[0], labels)
            low, high = bca_interval(replicates, value, [stratum.roc_auc for stratum in left_out])
        hits += low <= 0.77 <= high
    return hits / n_draws


def test_permutation_p_equals_all_exchanges_of_a_small_case():
    rng = np.random.default_rng(0)
    labels = np.repeat([1.0, 0.0], [3, 4])
    a, b = rng.normal(labels * 2, 1), rng.normal(size=7)
    ranks = np.stack([stats.rankdata(a), stats.rankdata(b)])
    differences = []
    for code in range(2**7):
        swap = (code >> np.arange(7)) & 1
        left, right = ranks[swap, np.arange(7)], ranks[1 - swap, np.arange(7)]
        differences.append(roc_auc_score(labels, left) - roc_auc_score(labels, right))
    exact = np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)
    assert permutation_test(a, b, labels, 20_000, rng) == pytest.approx(exact, abs=0.012)


def test_permutation_of_a_model_with_itself_is_one_and_ignores_scale():
    (scores,), labels = draw()
    assert permutation_test(scores, np.exp(scores), labels, 200, np.random.default_rng(0)) == 1.0


def test_permutation_test_keeps_its_level_under_equal_models():
    p = [
        permutation_test(*draw(n=60, seed=s, m=2)[0], draw(n=60)[1], 199, np.random.default_rng(s))
        for s in range(300)
    ]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.09
