"""Estimates with intervals: ROC AUC and its differences, proportions, means, regression.

scores (n,), labels (n,) of 0 and 1, or of any value -> dict(value, ci_low, ci_high, method), or a reason
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from mammo.evaluation.estimates import Estimate, UndefinedError, Z, defined, estimate, require_classes
from mammo.evaluation.resampling import draws, percentile_interval, sizes


def placements(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
    """Structural components (m, n) -> (m, n_pos), (m, n_neg): share of the other class each patient beats.

    Sun & Xu 2014, IEEE Signal Process. Lett. 21:1389, from midranks; a tie counts half.
    """
    from scipy.stats import rankdata  # late: takes a second, and answers need no ranks

    pos, neg = scores[:, labels == 1], scores[:, labels == 0]
    ranks = rankdata(np.hstack([pos, neg]), axis=1)
    n_pos, n_neg = pos.shape[1], neg.shape[1]
    of_pos = (ranks[:, :n_pos] - rankdata(pos, axis=1)) / n_neg
    of_neg = 1 - (ranks[:, n_pos:] - rankdata(neg, axis=1)) / n_pos
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
    """Area under the ROC curve with DeLong's interval, cut at 0 and 1; exact if separation is perfect."""
    require_classes(labels)
    value = placements(scores[None], labels)[0].mean()
    try:
        require_classes(labels, at_least=2)
    except UndefinedError as reason:
        return estimate(value, None, None, 'DeLong', reason=f'no interval: {reason}')
    if np.ptp(scores) == 0:
        return estimate(value, None, None, 'DeLong', reason='no interval: all scores are equal')
    if value in (0, 1):
        return _perfect(value, int(min(np.sum(labels == 1), np.sum(labels == 0))))
    half = Z * math.sqrt(delong(scores[None], labels)[1][0, 0])
    return estimate(value, max(value - half, 0), min(value + half, 1), 'DeLong')


def _perfect(value: float, n_pairs: int) -> Estimate:
    """Bound of Clopper & Pearson 1934, Biometrika 26:404: disjoint pairs of patients, all ordered alike.

    DeLong's variance is 0 here, and its interval would have no width.
    """
    bound = 0.025 ** (1 / n_pairs)  # the share of which n_pairs in a row have a probability of 0.025
    low, high = (bound, 1) if value == 1 else (0, 1 - bound)
    return estimate(
        value, low, high, f'exact (Clopper-Pearson) of {n_pairs} disjoint pairs: perfect separation'
    )


@defined
def delta_auc(a: NDArray, b: NDArray, labels: NDArray) -> Estimate:
    """AUC of a minus that of b on the same patients; interval and p (two-sided) from DeLong's covariance."""
    require_classes(labels, at_least=2)
    auc, cov = delong(np.stack([a, b]), labels)
    value, variance = auc[0] - auc[1], cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]
    if variance < 1e-15:  # equal rankings, or both separate perfectly
        reason = 'no interval: the two models rank the patients alike, or each separates the classes'
        p = 1.0 if math.isclose(auc[0], auc[1]) else None
        return estimate(value, None, None, 'DeLong, paired', p=p, reason=reason)
    half, z = Z * math.sqrt(variance), abs(value) / math.sqrt(variance)
    return estimate(value, value - half, value + half, 'DeLong, paired', p=float(2 * ndtr(-z)))


@defined
def proportion(count: int, total: int) -> Estimate:
    """``count`` of ``total`` with the interval of Wilson 1927, J. Am. Stat. Assoc. 22:209."""
    if not total:
        raise UndefinedError('no patient in the denominator')
    share, z2 = count / total, Z**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    low, high = max(centre - half, 0), min(centre + half, 1)  # (binomtest is 50 times slower)
    return estimate(share, low, high, 'Wilson', count=int(count), total=int(total))


@defined
def mean(values: NDArray, method: str = 'normal') -> Estimate:
    """Mean of per-patient values (n,) with the interval of the central limit theorem."""
    half = _standard_error(values) * Z
    if not half:
        return estimate(values.mean(), None, None, method, reason='no interval: all patients have one value')
    return estimate(values.mean(), values.mean() - half, values.mean() + half, method)


@defined
def mean_fraction(values: NDArray, method: str = 'normal on the logit') -> Estimate:
    """Mean of per-patient values between 0 and 1, with an interval that stays there."""
    value, error = float(values.mean()), _standard_error(values)
    if not error or not 0 < value < 1:
        return estimate(value, None, None, method, reason='no interval: all patients have one value')
    half = Z * error / (value * (1 - value))
    return estimate(value, expit(logit(value) - half), expit(logit(value) + half), method)


def _standard_error(values: NDArray) -> float:
    if len(values) < 2:
        raise UndefinedError('fewer than two patients')
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return error if error > 1e-12 * float(np.abs(values).max()) else 0.0


@defined
def pearson(scores: NDArray, labels: NDArray, n_bootstrap: int = 2000, seed: int = 0) -> Estimate:
    """Pearson correlation; of two bootstrap intervals, percentile and studentised, the wider ends.

    Fisher's z assumes normal values; of counts it covers 76 to 85 %. Studentised on z with the variance that
    assumes nothing: Steiger & Hakstian 1982, Br. J. Math. Stat. Psychol. 35:208; Davison & Hinkley 1997, 5.2.
    """
    if len(scores) < 4 or _is_constant(scores) or _is_constant(labels):
        raise UndefinedError('fewer than four patients, or all values equal')
    x, y = (_standardised(v) for v in (scores, labels))
    value, method = float(np.mean(x * y)), 'bootstrap over patients, the wider of percentile and studentised'
    if abs(value) > 1 - 1e-9:
        return estimate(value, None, None, method, reason='no interval: all patients lie on one line')
    rng = np.random.default_rng(seed)
    weights = (draws(len(x), size, rng) for size in sizes(n_bootstrap, len(x)))
    z, error = np.concatenate([_fisher_z(x, y, w) for w in weights], axis=1)
    (z0,), (error0,) = _fisher_z(x, y, np.ones((1, len(x))))
    low, high = percentile_interval(z)
    t_low, t_high = percentile_interval((z - z0) / error)
    low, high = np.tanh([min(low, z0 - t_high * error0), max(high, z0 - t_low * error0)])
    return estimate(value, low, high, method)


def _fisher_z(x: NDArray, y: NDArray, weights: NDArray) -> NDArray:
    """Values (n,), weights (b, n) -> Fisher's z and its standard error, (2, b); NaN of equal values."""
    n = len(x)
    mx, my, mxx, myy, mxy = (weights @ np.stack([x, y, x**2, y**2, x * y], axis=1)).T[:, :, None] / n
    variance_x, variance_y = (np.where(v > 1e-12, v, np.nan) for v in (mxx - mx**2, myy - my**2))
    r = (mxy - mx * my) / np.sqrt(variance_x * variance_y)
    r = np.where(np.abs(r) < 1 - 1e-9, r, np.nan)
    a, b = (x - mx) / np.sqrt(variance_x), (y - my) / np.sqrt(variance_y)
    influence = a * b - r * (a**2 + b**2) / 2  # (b, n)
    error = np.sqrt(np.sum(weights * influence**2, axis=1)) / n / (1 - r[:, 0] ** 2)
    return np.stack([np.arctanh(r[:, 0]), np.where(error > 0, error, np.nan)])


@defined
def r2(scores: NDArray, labels: NDArray, n_bootstrap: int = 2000, seed: int = 0) -> Estimate:
    """Coefficient of determination; of two bootstrap intervals over patients the wider ends."""
    if len(scores) < 4 or _is_constant(labels):
        raise UndefinedError('fewer than four patients, or all labels equal')
    top = np.abs(labels).max()  # before squares, which overflow or vanish
    with np.errstate(over='ignore'):
        error = ((labels / top - scores / top) / (labels / top).std()) ** 2
    if not np.isfinite(error.sum()):
        raise UndefinedError('scores are so far from the labels that the number overflows')
    y = _standardised(labels)
    first, second, squares = _resampled_means(np.stack([y, y**2, error], axis=1), n_bootstrap, seed)
    total = np.where(second - first**2 > 1e-12, second - first**2, np.nan)  # NaN: all drawn labels are equal
    value = 1 - float(error.mean())
    method = 'bootstrap over patients, the wider of percentile and normal on the logarithm of 1 - R2'
    unexplained = squares / total
    if _is_constant(unexplained):
        return estimate(value, None, None, method, reason='no interval: all replicates are equal')
    half = Z * float(np.nanstd(np.log(np.where(unexplained > 0, unexplained, np.nan))))
    low, high = percentile_interval(1 - unexplained)
    low, high = min(low, 1 - (1 - value) * math.exp(half)), max(high, 1 - (1 - value) * math.exp(-half))
    return estimate(value, low, high, method)


def _standardised(values: NDArray) -> NDArray:
    """Values (n,) -> mean 0 and deviation 1, whatever their size."""
    values = values / np.abs(values).max()
    return (values - values.mean()) / values.std()


def _is_constant(values: NDArray) -> bool:
    return bool(np.nanmax(values) - np.nanmin(values) <= 1e-12 * np.nanmax(np.abs(values)))


def _resampled_means(columns: NDArray, n_bootstrap: int, seed: int) -> NDArray:
    """Columns (n, k) -> their means in each draw of patients, (k, n_bootstrap)."""
    n, rng = len(columns), np.random.default_rng(seed)
    return np.concatenate([draws(n, size, rng) @ columns for size in sizes(n_bootstrap, n)]).T / n
