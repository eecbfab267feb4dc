"""Resampling of patients: stratified bootstrap and paired permutation, on integer weights of sorted scores.

scores (m, n) of m models on the same n patients, labels (n,) -> replicates (m, n_bootstrap), intervals, p
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CHUNK = 2**19  # weights held at once, so that a block stays in the processor's cache


class Replicates(NamedTuple):
    """Statistics of resampled patients, each (m, n_replicates)."""

    roc_auc: NDArray
    pr_auc: NDArray
    reduction: NDArray  # share spared at the highest threshold that keeps the sensitivity


class Ordered(NamedTuple):
    """One model's scores, sorted once for any weighting of the patients."""

    pos: NDArray  # (n_pos,) positives by falling score
    neg: NDArray  # (n_neg,) negatives by rising score
    below: NDArray  # (n_pos,) number of negatives below each positive
    upto: NDArray  # (n_pos,) ... below or tied
    last: NDArray  # (n_pos,) place of the last positive tied with each
    tied: bool  # without ties, two look-ups are spared


def ordered(scores: NDArray, labels: NDArray) -> Ordered:
    """Scores (n,), labels (n,) -> places in sorted order."""
    pos, neg = scores[labels == 1], scores[labels == 0]
    by_fall, by_rise = np.argsort(-pos, kind='stable'), np.argsort(neg, kind='stable')
    pos, neg = pos[by_fall], neg[by_rise]
    last = np.searchsorted(-pos, -pos, side='right') - 1
    below, upto = np.searchsorted(neg, pos), np.searchsorted(neg, pos, side='right')
    tied = bool(np.any(below != upto) or np.any(last != np.arange(len(pos))))
    return Ordered(by_fall, by_rise, below, upto, last, tied)


def weighted(order: Ordered, w_pos: NDArray, w_neg: NDArray, sensitivity: float) -> tuple[NDArray, ...]:
    """Weights (b, n_pos), (b, n_neg) -> ROC AUC (b,), PR AUC (b,), SLNB reduction (b,).

    ROC AUC is the Mann-Whitney statistic, PR AUC the average precision, both with ties as scikit-learn.
    """
    w = np.take(w_pos, order.pos, axis=1)
    tp = np.cumsum(w, axis=1, dtype=np.int32)
    tn = np.zeros((len(w_neg), w_neg.shape[1] + 1), np.int32)
    np.cumsum(np.take(w_neg, order.neg, axis=1), axis=1, out=tn[:, 1:])
    n_pos, n_neg = tp[:, -1].astype(float), tn[:, -1].astype(float)
    below = np.take(tn, order.below, axis=1)
    upto = np.take(tn, order.upto, axis=1) if order.tied else below
    beaten = np.sum(w * (below + upto), axis=1, dtype=np.int64)
    first = np.argmax(tp >= _needed(n_pos, sensitivity)[:, None], axis=1)
    tp = np.take(tp, order.last, axis=1) if order.tied else tp
    called = tp + n_neg[:, None] - below  # patients at or above each positive's score
    precision = np.divide(tp, called, out=np.zeros_like(called), where=called > 0)
    spared = n_pos + n_neg - called[np.arange(len(w)), first]
    return beaten / (2 * n_pos * n_neg), np.einsum('bi,bi->b', w, precision) / n_pos, spared / (n_pos + n_neg)


def bootstrap(
    scores: NDArray, labels: NDArray, n_bootstrap: int, rng: np.random.Generator, sensitivity: float = 0.9
) -> Replicates:
    """Resample positives and negatives apart; scores (m, n) share the draws, so differences are paired."""
    orders = [ordered(s, labels) for s in scores]
    n_pos, n_neg = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    blocks = [
        [weighted(order, w_pos, w_neg, sensitivity) for order in orders]
        for size in sizes(n_bootstrap, len(labels))
        for w_pos, w_neg in [(draws(n_pos, size, rng), draws(n_neg, size, rng))]
    ]  # blocks x models x 3 x size
    return Replicates(*np.concatenate([np.array(b).transpose(1, 0, 2) for b in blocks], axis=2))


def percentile_interval(replicates: NDArray) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of replicates (n_bootstrap,)."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return float(low), float(high)


def bca_interval(replicates: NDArray, value: float, jackknife: list[NDArray]) -> tuple[float, float]:
    """Bias-corrected and accelerated interval; ``jackknife`` holds the leave-one-out values of each stratum.

    Efron 1987, J. Am. Stat. Assoc. 82:171; several samples: Davison & Hinkley 1997, section 5.4.
    """
    below = np.mean(replicates < value) + np.mean(replicates == value) / 2
    influence = np.concatenate([(j.mean() - j) * (len(j) - 1) / len(j) for j in jackknife])
    spread = np.sum(influence**2) ** 1.5
    if spread == 0 or not 0 < below < 1:  # no variation to correct for
        return percentile_interval(replicates)
    z0, a = stats.norm.ppf(below), np.sum(influence**3) / (6 * spread)
    z = z0 + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(replicates, stats.norm.cdf(z0 + z / (1 - a * z)))
    return float(low), float(high)


def leave_one_out(scores: NDArray, labels: NDArray, sensitivity: float = 0.9) -> list[Replicates]:
    """Scores (n,) -> statistics without each positive, and without each negative."""
    order, n_pos, n_neg = ordered(scores, labels), int(np.sum(labels == 1)), int(np.sum(labels == 0))
    results = []
    for n, positives in ((n_pos, True), (n_neg, False)):
        parts = []
        for rows in np.array_split(np.arange(n), math.ceil(n * len(labels) / CHUNK)):
            w = np.ones((len(rows), n), np.int32)
            w[np.arange(len(rows)), rows] = 0
            rest = np.ones((len(rows), n_neg if positives else n_pos), np.int32)
            parts.append(weighted(order, *((w, rest) if positives else (rest, w)), sensitivity))
        results.append(Replicates(*np.concatenate(parts, axis=1)))
    return results


def permutation_test(
    a: NDArray, b: NDArray, labels: NDArray, n_permutations: int, rng: np.random.Generator
) -> float:
    """Two-sided p of equal ROC AUCs: each patient's two ranks are swapped at random.

    Venkatraman & Begg 1996, Biometrika 83:835; ranks make scales alike. Both models' ranks are sorted
    once as 2n entries of weight 0 or 1.
    """
    both = np.hstack([stats.rankdata(a), stats.rankdata(b)])
    order = ordered(both, np.tile(labels, 2))
    n_pos, n_neg = int(np.sum(labels == 1)), int(np.sum(labels == 0))

    def difference(swap_pos: NDArray, swap_neg: NDArray) -> NDArray:
        sides = [
            weighted(order, np.hstack([~p, p]).astype(np.int32), np.hstack([~n, n]).astype(np.int32), 1.0)[0]
            for p, n in ((swap_pos, swap_neg), (~swap_pos, ~swap_neg))
        ]
        return sides[0] - sides[1]

    observed = abs(difference(np.zeros((1, n_pos), bool), np.zeros((1, n_neg), bool))[0])
    extreme = sum(
        int(
            np.sum(
                np.abs(difference(rng.random((s, n_pos)) < 0.5, rng.random((s, n_neg)) < 0.5))
                >= observed - 1e-12
            )
        )
        for s in sizes(n_permutations, 2 * len(labels))
    )
    return (1 + extreme) / (1 + n_permutations)  # the observed order is one of them


def _needed(n_pos: NDArray, sensitivity: float) -> NDArray:
    return np.maximum(np.ceil(sensitivity * n_pos - 1e-9), 1)  # 0.55 * 100 is 55.00000000000001


def draws(n: int, size: int, rng: np.random.Generator) -> NDArray:
    """How often each of n patients was drawn in n draws with replacement, (size, n)."""
    places = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
    return np.bincount(places.ravel(), minlength=size * n).reshape(size, n).astype(np.int32)


def sizes(n_replicates: int, n: int) -> Iterator[int]:
    size = max(1, CHUNK // n)
    yield from (min(size, n_replicates - start) for start in range(0, n_replicates, size))
