"""Resampling of patients with replacement, on integer weights of sorted scores.

scores (m, n) of m models on the same n patients, labels (n,) -> replicates (m, n_bootstrap), intervals
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**19  # weights held at once, so that a block stays in the processor's cache


class Replicates(NamedTuple):
    """Statistics of resampled patients, each (m, n_replicates); NaN where a draw lacks a class."""

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
    """Weights (b, n_pos), (b, n_neg) -> ROC AUC (b,), PR AUC (b,), SLNB reduction (b,); NaN without a class.

    ROC AUC is the Mann-Whitney statistic, PR AUC the average precision, both with ties as scikit-learn.
    """
    w = np.take(w_pos, order.pos, axis=1)
    tp = np.cumsum(w, axis=1, dtype=np.int32)
    tn = np.zeros((len(w_neg), w_neg.shape[1] + 1), np.int32)
    np.cumsum(np.take(w_neg, order.neg, axis=1), axis=1, out=tn[:, 1:])
    n_pos, n_neg = (np.where(count > 0, count, np.nan) for count in (tp[:, -1], tn[:, -1]))
    below = np.take(tn, order.below, axis=1)
    upto = np.take(tn, order.upto, axis=1) if order.tied else below
    beaten = np.sum(w * (below + upto), axis=1, dtype=np.int64)
    first = np.argmax(tp >= _needed(n_pos, sensitivity)[:, None], axis=1)
    tp = np.take(tp, order.last, axis=1) if order.tied else tp
    called = tp + n_neg[:, None] - below  # patients at or above each positive's score
    precision = np.divide(tp, called, out=np.zeros_like(called), where=called > 0)
    spared = n_pos + n_neg - called[np.arange(len(w)), first]
    pr_auc = np.where(np.isnan(n_neg), np.nan, np.einsum('bi,bi->b', w, precision) / n_pos)
    return beaten / (2 * n_pos * n_neg), pr_auc, spared / (n_pos + n_neg)


def point(scores: NDArray, labels: NDArray, sensitivity: float) -> tuple[float, ...]:
    """The statistics of ``Replicates`` of the patients as they are; scores (n,), labels (n,)."""
    w_pos, w_neg = (np.ones((1, int(np.sum(labels == k))), np.int32) for k in (1, 0))
    return tuple(float(value[0]) for value in weighted(ordered(scores, labels), w_pos, w_neg, sensitivity))


def bootstrap(
    scores: NDArray, labels: NDArray, n_bootstrap: int, rng: np.random.Generator, sensitivity: float = 0.9
) -> Replicates:
    """Resample patients, whatever their label; scores (m, n) share the draws, so differences are paired.

    NOTE[DIFF]: the paper drew positives and negatives apart. That holds the event rate fixed, which is
    itself uncertain: intervals of the PR AUC and of the biopsies spared were too narrow.
    """
    orders = [ordered(s, labels) for s in scores]
    blocks = []
    for size in sizes(n_bootstrap, len(labels)):
        weights = draws(len(labels), size, rng)
        w_pos, w_neg = weights[:, labels == 1], weights[:, labels == 0]
        blocks.append([weighted(order, w_pos, w_neg, sensitivity) for order in orders])  # models x 3 x size
    return Replicates(*np.concatenate([np.array(b).transpose(1, 0, 2) for b in blocks], axis=2))


def percentile_interval(replicates: NDArray) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of replicates (n_bootstrap,), leaving out NaN."""
    low, high = np.nanquantile(replicates, [0.025, 0.975])
    return float(low), float(high)


def _needed(n_pos: NDArray, sensitivity: float) -> NDArray:
    return np.maximum(np.ceil(sensitivity * n_pos - 1e-9), 1)  # 0.55 * 100 is 55.00000000000001


def draws(n: int, size: int, rng: np.random.Generator) -> NDArray:
    """How often each of n patients was drawn in n draws with replacement, (size, n)."""
    places = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
    return np.bincount(places.ravel(), minlength=size * n).reshape(size, n).astype(np.int32)


def sizes(n_replicates: int, n: int) -> Iterator[int]:
    """Numbers of replicates drawn at once, which add up to ``n_replicates``."""
    size = max(1, CHUNK // n)
    yield from (min(size, n_replicates - start) for start in range(0, n_replicates, size))
