"""Calibration: do probabilities mean what they say, and how to make them.

probs (n,), labels (n,) -> intercept, slope, smoothed curve, Brier score; recalibration as JSON numbers
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from mammo.evaluation.estimates import (
    Estimate,
    UndefinedError,
    Z,
    defined,
    estimate,
    require_classes,
    require_probs,
    undefined,
)
from mammo.evaluation.logistic import fit_logistic
from mammo.evaluation.statistics import mean_fraction

EPSILON = 1e-6  # by which probabilities 0 and 1 are moved inside for recalibration: they have no logit
CURVE = 'logistic regression on a restricted cubic spline of the logit, 3 knots'
DISTANCE = 'no interval: a distance is above 0 by chance alone, even where the calibration is perfect'


def clipped_logit(probs: NDArray) -> NDArray:
    """Log odds of probs, which are first moved off 0 and 1."""
    return logit(np.clip(probs, EPSILON, 1 - EPSILON))


@defined
def intercept(probs: NDArray, labels: NDArray) -> Estimate:
    """Calibration in the large: logit(risk) = intercept + logit(prob); 0 is ideal.

    Van Calster et al. 2019, BMC Med. 17:230.
    """
    x = _logit(probs, labels)
    coef, covariance, _ = fit_logistic(np.ones((len(x), 1)), labels, x)
    return _wald(coef[0], covariance[0, 0])


@defined
def slope(probs: NDArray, labels: NDArray) -> Estimate:
    """Calibration slope: logit(risk) = a + slope * logit(prob); 1 is ideal, below 1 is too extreme."""
    coef, covariance, _ = fit_logistic(_line(_logit(probs, labels)), labels)
    return _wald(coef[1], covariance[1, 1])


@defined
def observed_expected(probs: NDArray, labels: NDArray) -> Estimate:
    """Observed events over the sum of probs; 1 is ideal, above 1 is too low a risk.

    Interval of the logarithm by the delta method; with equal probs it is that of Debray et al. 2017, BMJ
    356:i6460, (1 - O/n) / O.
    """
    _require(probs, labels)
    if not probs.any():
        raise UndefinedError('every probability is 0, so that no event is expected')
    influence = labels / labels.mean() - probs / probs.mean()
    half = Z * float(np.std(influence)) / np.sqrt(len(labels))
    value = labels.mean() / probs.mean()
    return estimate(value, value * np.exp(-half), value * np.exp(half), 'delta method on the logarithm')


@defined
def brier(probs: NDArray, labels: NDArray) -> Estimate:
    """Mean squared distance of prob and label; Brier 1950, Mon. Weather Rev. 78:1."""
    require_probs(probs)
    return mean_fraction((probs - labels) ** 2)


def distances(probs: NDArray, labels: NDArray) -> dict[str, Estimate]:
    """ICI, E50 and E90: mean, median and 90 % quantile of |prob - smoothed risk| over patients.

    Austin & Steyerberg 2019, Stat. Med. 38:4051, with the curve of ``smooth_curve`` in place of loess.
    """
    try:
        x = _logit(probs, labels)
        knots, coef, _ = _curve(x, labels)
    except UndefinedError as reason:
        return {key: undefined(str(reason)) for key in ('ici', 'e50', 'e90')}
    gap = np.abs(probs - expit(_spline(x, knots) @ coef))
    values = dict(ici=gap.mean(), e50=np.median(gap), e90=np.quantile(gap, 0.9))
    return {key: estimate(value, None, None, CURVE, reason=DISTANCE) for key, value in values.items()}


def summary(probs: NDArray, labels: NDArray) -> dict[str, Estimate]:
    """All numbers of calibration."""
    return dict(
        intercept=intercept(probs, labels),
        slope=slope(probs, labels),
        observed_expected=observed_expected(probs, labels),
        **distances(probs, labels),
    )


def smooth_curve(probs: NDArray, labels: NDArray, n_points: int = 101) -> dict[str, list[float]]:
    """Observed risk against prob, by logistic regression on a restricted cubic spline of the logit.

    Harrell 2015, Regression Modeling Strategies, section 2.4.5: knots at the 10, 50 and 90 % quantiles.
    """
    knots, coef, covariance = _curve(_logit(probs, labels), labels)
    at = np.linspace(np.quantile(probs, 0.01), np.quantile(probs, 0.99), n_points)
    design = _spline(logit(at), knots)
    half = Z * np.sqrt(np.einsum('ij,jk,ik->i', design, covariance, design))
    curves = dict(
        prob=at, **{k: expit(design @ coef + s * half) for k, s in (('low', -1), ('risk', 0), ('high', 1))}
    )
    return {key: values.tolist() for key, values in curves.items()}


def grouped_risk(probs: NDArray, labels: NDArray, n_groups: int = 10) -> list[tuple[float, int, int]]:
    """Equal groups by rising prob: (mean prob, events, patients) of each."""
    groups = np.array_split(np.argsort(probs, kind='stable'), min(n_groups, max(1, len(probs) // 10)))
    return [(float(probs[g].mean()), int(labels[g].sum()), len(g)) for g in groups]


def fit_platt(probs: NDArray, labels: NDArray) -> dict[str, Any]:
    """Logistic recalibration of the logit, as numbers; Platt 1999, without his target smoothing."""
    _require(probs, labels)
    a, b = fit_logistic(_line(clipped_logit(probs)), labels).coef
    return dict(kind='platt', intercept=float(a), slope=float(b))


def fit_isotonic(probs: NDArray, labels: NDArray) -> dict[str, Any]:
    """Rising step function from prob to risk, as the numbers of its corners; Zadrozny & Elkan 2002."""
    require_probs(probs)
    require_classes(labels)
    from sklearn.isotonic import IsotonicRegression  # late: answers fit nothing

    fitted = IsotonicRegression(out_of_bounds='clip').fit(probs, labels)
    return dict(kind='isotonic', prob=fitted.X_thresholds_.tolist(), risk=fitted.y_thresholds_.tolist())


def recalibrate(parameters: dict[str, Any], probs: NDArray) -> NDArray:
    """Apply what ``fit_platt`` or ``fit_isotonic`` stored."""
    if parameters['kind'] == 'platt':
        return expit(parameters['intercept'] + parameters['slope'] * clipped_logit(probs))
    return np.interp(probs, parameters['prob'], parameters['risk'])


def _require(probs: NDArray, labels: NDArray) -> None:
    require_probs(probs)
    require_classes(labels)


def _logit(probs: NDArray, labels: NDArray) -> NDArray:
    """Log odds, where all probs have them; moving 0 and 1 inside would decide about the result."""
    _require(probs, labels)
    n_certain = int(np.sum((probs == 0) | (probs == 1)))
    if n_certain:
        raise UndefinedError(f'{n_certain} of {len(probs)} probabilities are 0 or 1, which have no logit')
    return logit(probs)


def _line(x: NDArray) -> NDArray:
    return np.stack([np.ones(len(x)), x], axis=1)  # (n, 2)


def _curve(x: NDArray, labels: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    knots = np.quantile(x, [0.1, 0.5, 0.9])
    coef, covariance, _ = fit_logistic(_spline(x, knots), labels)
    return knots, coef, covariance


def _spline(x: NDArray, knots: NDArray) -> NDArray:
    """Columns of the curve; patsy's ``cr`` spans the same ones, and would be a dependency for five lines."""
    low, middle, high = knots
    cube = [np.maximum(x - knot, 0) ** 3 for knot in knots]
    width = max(high - low, EPSILON)
    bend = cube[0] - (cube[1] * (high - low) - cube[2] * (middle - low)) / max(high - middle, EPSILON)
    return np.stack([np.ones(len(x)), x, bend / width**2], axis=1)  # (n, 3)


def _wald(value: float, variance: float) -> Estimate:
    half = Z * float(np.sqrt(variance))
    return estimate(value, value - half, value + half, 'maximum likelihood, Wald')
