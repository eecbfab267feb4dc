"""Estimates with intervals: ROC AUC, DeLong's test, proportions, regression; or the reason for none.

scores (n,), labels (n,) of 0 and 1 -> dict(value, ci_low, ci_high, method), nulls where undefined
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mammo.errors import UserError
from mammo.evaluation.resampling import draws, sizes

Estimate = dict[str, Any]
Z = float(stats.norm.ppf(0.975))  # every interval is a 95 % interval


class UndefinedError(UserError):
    """These data do not define the statistic; the message is the reason."""


def estimate(value: float, low: float | None, high: float | None, method: str, **more: Any) -> Estimate:
    """Plain numbers of one estimate, interval and method."""
    ends = [None if end is None else float(end) for end in (low, high)]
    return dict(value=float(value), ci_low=ends[0], ci_high=ends[1], method=method, **more)


def undefined(reason: str) -> Estimate:
    """The estimate of what is not defined."""
    return dict(value=None, ci_low=None, ci_high=None, method=None, reason=reason)


def defined(function: Callable[..., Estimate]) -> Callable[..., Estimate]:
    """Let a function raise ``UndefinedError``: it then returns nulls with the reason."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Estimate:
        try:
            return function(*args, **kwargs)
        except UndefinedError as reason:
            return undefined(str(reason))

    return wrapped


def require_classes(labels: NDArray, at_least: int = 1) -> None:
    """Refuse labels with fewer than ``at_least`` positives or negatives."""
    for name, count in (('positive', int(np.sum(labels == 1))), ('negative', int(np.sum(labels == 0)))):
        if count < at_least:
            raise UndefinedError(
                f'{count or "no"} {name} {"patient" if count == 1 else "patients"}, {at_least} needed'
            )


def require_probs(scores: NDArray) -> None:
    """Refuse scores that cannot be probabilities."""
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        raise UndefinedError('scores outside 0 to 1 are no probabilities')


def placements(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
    """Structural components (m, n) -> (m, n_pos), (m, n_neg): share of the other class each patient beats.

    Sun & Xu 2014, IEEE Signal Process. Lett. 21:1389, from midranks; a tie counts half.
    """
    pos, neg = scores[:, labels == 1], scores[:, labels == 0]
    ranks = stats.rankdata(np.hstack([pos, neg]), axis=1)
    n_pos, n_neg = pos.shape[1], neg.shape[1]
    of_pos = (ranks[:, :n_pos] - stats.rankdata(pos, axis=1)) / n_neg
    of_neg = 1 - (ranks[:, n_pos:] - stats.rankdata(neg, axis=1)) / n_pos
    return of_pos, of_neg


def delong(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
    """AUCs (m,) and their covariance (m, m) of m models on the same patients, scores (m, n).

    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837.
    """
    of_pos, of_neg = placements(scores, labels)
    covariance = np.cov(of_pos) / of_pos.shape[1] + np.cov(of_neg) / of_neg.shape[1]
    return of_pos.mean(axis=1), np.atleast_2d(covariance)


@defined
def roc_auc(scores: NDArray, labels: NDArray) -> Estimate:
    """Area under the ROC curve with DeLong's interval, cut at 0 and 1."""
    require_classes(labels)
    value = placements(scores[None], labels)[0].mean()
    try:
        require_classes(labels, at_least=2)
    except UndefinedError as reason:
        return estimate(value, None, None, 'DeLong', reason=f'no interval: {reason}')
    if np.ptp(scores) == 0:
        return estimate(value, None, None, 'DeLong', reason='no interval: all scores are equal')
    half = Z * math.sqrt(delong(scores[None], labels)[1][0, 0])
    return estimate(value, max(value - half, 0), min(value + half, 1), 'DeLong')


def delong_test(a: NDArray, b: NDArray, labels: NDArray) -> float | None:
    """Two-sided p of equal AUCs on the same patients; None where the variance is undefined or 0."""
    if min(np.sum(labels == 1), np.sum(labels == 0)) < 2:
        return None
    auc, cov = delong(np.stack([a, b]), labels)
    variance = cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]
    if variance < 1e-15:  # equal rankings, or both separate perfectly
        return 1.0 if math.isclose(auc[0], auc[1]) else None
    return float(2 * stats.norm.sf(abs(auc[0] - auc[1]) / math.sqrt(variance)))


@defined
def proportion(count: int, total: int) -> Estimate:
    """``count`` of ``total`` with the interval of Wilson 1927, J. Am. Stat. Assoc. 22:209."""
    if not total:
        raise UndefinedError('no patient in the denominator')
    interval = stats.binomtest(int(count), int(total)).proportion_ci(method='wilson')
    return estimate(count / total, interval.low, interval.high, 'Wilson', count=int(count), total=int(total))


@defined
def mean(values: NDArray, method: str = 'normal') -> Estimate:
    """Mean of per-patient values (n,) with the interval of the central limit theorem."""
    if len(values) < 2:
        raise UndefinedError('fewer than two patients')
    half = Z * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return estimate(values.mean(), values.mean() - half, values.mean() + half, method)


@defined
def pearson(scores: NDArray, labels: NDArray) -> Estimate:
    """Pearson correlation with Fisher's z interval."""
    if len(scores) < 4 or np.ptp(scores) == 0 or np.ptp(labels) == 0:
        raise UndefinedError('fewer than four patients, or all values equal')
    result = stats.pearsonr(scores, labels)
    interval = result.confidence_interval(0.95)
    return estimate(result.statistic, interval.low, interval.high, 'Fisher z')


@defined
def r2(scores: NDArray, labels: NDArray, n_bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Coefficient of determination with a percentile bootstrap over patients."""
    if len(scores) < 4 or np.ptp(labels) == 0:
        raise UndefinedError('fewer than four patients, or all labels equal')
    terms = np.stack([labels, labels**2, (labels - scores) ** 2], axis=1)  # (n, 3)
    n = len(labels)
    first, second, error = (
        np.concatenate([draws(n, size, rng) @ terms for size in sizes(n_bootstrap, n)]).T / n
    )
    total = np.where(second - first**2 > 1e-12, second - first**2, np.nan)
    low, high = np.nanquantile(1 - error / total, [0.025, 0.975])  # NaN: every drawn label was the same
    value = 1 - terms[:, 2].mean() / labels.var()
    return estimate(value, low, high, 'bootstrap over patients, percentile')
