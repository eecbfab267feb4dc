"""Calibration: do probabilities mean what they say, and how to make them.

probs (n,), labels (n,) -> intercept, slope, smoothed curve, Brier score; recalibration as JSON numbers
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from mammo.evaluation.statistics import (
    Estimate,
    UndefinedError,
    Z,
    defined,
    estimate,
    mean,
    require_classes,
    require_probs,
)

EPSILON = 1e-6  # probabilities 0 and 1 have no logit: they are moved inside by this much
MAX_STEPS = 50


def clipped_logit(probs: NDArray) -> NDArray:
    """Log odds of probs, which are first moved off 0 and 1."""
    return logit(np.clip(probs, EPSILON, 1 - EPSILON))


def fit_logistic(design: NDArray, labels: NDArray, offset: NDArray | float = 0.0) -> tuple[NDArray, NDArray]:
    """Maximum likelihood by Newton's method: design (n, k) -> coefficients (k,), covariance (k, k).

    McCullagh & Nelder 1989, chapter 4. (scikit-learn has neither the offset nor the covariance.)
    """
    coef = np.zeros(design.shape[1])
    for _ in range(MAX_STEPS):
        probs = expit(design @ coef + offset)
        information = design.T @ (design * (probs * (1 - probs))[:, None])
        if np.linalg.cond(information) > 1e12:
            raise UndefinedError('no finite logistic fit: scores are constant or separate the classes')
        step = np.linalg.solve(information, design.T @ (labels - probs))
        coef = coef + np.clip(step, -5, 5)
        if np.max(np.abs(step)) < 1e-9:
            return coef, np.linalg.inv(information)
    raise UndefinedError(
        f'the logistic fit did not converge in {MAX_STEPS} steps: the scores separate the classes'
    )


@defined
def intercept(probs: NDArray, labels: NDArray) -> Estimate:
    """Calibration in the large: logit(risk) = intercept + logit(prob); 0 is ideal.

    Van Calster et al. 2019, BMC Med. 17:230.
    """
    _require(probs, labels)
    coef, covariance = fit_logistic(np.ones((len(probs), 1)), labels, clipped_logit(probs))
    return _wald(coef[0], covariance[0, 0])


@defined
def slope(probs: NDArray, labels: NDArray) -> Estimate:
    """Calibration slope: logit(risk) = a + slope * logit(prob); 1 is ideal, below 1 is too extreme."""
    _require(probs, labels)
    coef, covariance = fit_logistic(_line(probs), labels)
    return _wald(coef[1], covariance[1, 1])


@defined
def brier(probs: NDArray, labels: NDArray) -> Estimate:
    """Mean squared distance of prob and label; Brier 1950, Mon. Weather Rev. 78:1."""
    require_probs(probs)
    return mean((probs - labels) ** 2, 'normal, per-patient squared errors')


def smooth_curve(probs: NDArray, labels: NDArray, n_points: int = 101) -> dict[str, list[float]]:
    """Observed risk against prob, by logistic regression on a restricted cubic spline of the logit.

    Harrell 2015, Regression Modeling Strategies, section 2.4.5: knots at the 10, 50 and 90 % quantiles.
    """
    _require(probs, labels)
    x = clipped_logit(probs)
    knots = np.quantile(x, [0.1, 0.5, 0.9])
    coef, covariance = fit_logistic(_spline(x, knots), labels)
    at = np.linspace(np.quantile(probs, 0.01), np.quantile(probs, 0.99), n_points)
    design = _spline(clipped_logit(at), knots)
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
    a, b = fit_logistic(_line(probs), labels)[0]
    return dict(kind='platt', intercept=float(a), slope=float(b))


def fit_isotonic(probs: NDArray, labels: NDArray) -> dict[str, Any]:
    """Rising step function from prob to risk, as the numbers of its corners; Zadrozny & Elkan 2002."""
    require_probs(probs)
    require_classes(labels)
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds='clip').fit(probs, labels)
    return dict(kind='isotonic', prob=fitted.X_thresholds_.tolist(), risk=fitted.y_thresholds_.tolist())


def recalibrate(parameters: dict[str, Any], probs: NDArray) -> NDArray:
    """Apply what ``fit_platt`` or ``fit_isotonic`` stored."""
    if parameters['kind'] == 'platt':
        return expit(parameters['intercept'] + parameters['slope'] * clipped_logit(probs))
    return np.interp(probs, parameters['prob'], parameters['risk'])


def _require(probs: NDArray, labels: NDArray) -> None:
    require_probs(probs)
    require_classes(labels)


def _line(probs: NDArray) -> NDArray:
    return np.stack([np.ones(len(probs)), clipped_logit(probs)], axis=1)  # (n, 2)


def _spline(x: NDArray, knots: NDArray) -> NDArray:
    low, middle, high = knots
    cube = [np.maximum(x - knot, 0) ** 3 for knot in knots]
    width = max(high - low, EPSILON)
    bend = cube[0] - (cube[1] * (high - low) - cube[2] * (middle - low)) / max(high - middle, EPSILON)
    return np.stack([np.ones(len(x)), x, bend / width**2], axis=1)  # (n, 3)


def _wald(value: float, variance: float) -> Estimate:
    half = Z * float(np.sqrt(variance))
    return estimate(value, value - half, value + half, 'maximum likelihood, Wald')
