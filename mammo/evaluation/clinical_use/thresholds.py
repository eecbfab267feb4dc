"""Thresholds that keep a promise: the true sensitivity is at least what was asked for, at a confidence.

scores (n,), labels (n,), sensitivity, confidence -> threshold, or the number of positives that it takes
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincc


def promised_threshold(
    scores: NDArray, labels: NDArray, sensitivity: float, confidence: float
) -> dict[str, Any]:
    """Highest threshold whose true sensitivity is at least ``sensitivity`` with ``confidence``.

    At the k-th lowest score of n positive patients the true sensitivity is distributed as Beta(n - k + 1, k),
    whatever the distribution of the scores: Wilks 1941, Ann. Math. Stat. 12:91; the same bound as that of
    Clopper & Pearson 1934. Ties make it cautious. It holds for patients like these, scored by models that did
    not see them.

    Returns:
        threshold (None: not attainable, see ``reason``), sensitivity, confidence, n_positive, n_needed
        (fewest positives with which any threshold keeps it), n_missed (positives below the threshold).

    Example:
        >>> scores, labels = np.arange(40) / 40, np.ones(40)
        >>> promised_threshold(scores, labels, 0.9, 0.95)['threshold']
        0.0
        >>> promised_threshold(scores[:20], labels[:20], 0.9, 0.95)['reason']
        'not attainable with 20 positives, 29 are needed'
    """
    positives = np.sort(scores[labels == 1])
    if sensitivity == 1:
        return dict(
            threshold=None, n_missed=None, reason='no number of positives shows that none is ever missed',
            sensitivity=sensitivity, confidence=confidence, n_positive=len(positives), n_needed=None,
        )  # fmt: skip
    n, n_needed = len(positives), positives_needed(sensitivity, confidence)
    about = dict(sensitivity=sensitivity, confidence=confidence, n_positive=n, n_needed=n_needed)
    if n < n_needed:
        reason = f'not attainable with {n} positives, {n_needed} are needed'
        return dict(threshold=None, n_missed=None, reason=reason, **about)
    ranks = np.arange(1, n + 1)
    kept = betaincc(n - ranks + 1, ranks, sensitivity) >= confidence
    k = int(np.flatnonzero(kept)[-1])  # kept falls once from true to false
    return dict(threshold=float(positives[k]), n_missed=int(np.sum(positives < positives[k])), **about)


def positives_needed(sensitivity: float, confidence: float) -> int:
    """Fewest positives whose lowest score is such a threshold: 1 - sensitivity**n >= confidence."""
    return math.ceil(math.log(1 - confidence) / math.log(sensitivity) - 1e-9)
