"""Logistic regression by maximum likelihood, refused only where it has no finite solution.

design (n, k), labels (n,) of 0 and 1, offset (n,) -> coefficients (k,), covariance (k, k), deviance
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mammo.evaluation.estimates import UndefinedError

NEAR_CERTAIN = 1e-3  # fitted probs nearer to 0 or 1 than this ask for the exact check of separation


class Fit(NamedTuple):
    """Maximum of the likelihood."""

    coef: NDArray  # (k,)
    covariance: NDArray  # (k, k), inverse of the information
    deviance: float


def fit_logistic(design: NDArray, labels: NDArray, offset: NDArray | float = 0.0) -> Fit:
    """Maximum likelihood (McCullagh & Nelder 1989, chapter 4) by SciPy's trust region.

    The loss is convex, so a trust region finds its minimum; Newton's steps alone (and those of statsmodels'
    GLM, which has no step halving either) run away on some data with few events.

    Raises:
        UndefinedError: the columns are not independent, or they separate the classes.
    """
    from scipy.optimize import minimize  # late: takes a second, and answers fit nothing

    n, k = design.shape
    if np.linalg.matrix_rank(design) < k:
        raise UndefinedError('no logistic fit: the scores are constant, or take too few different values')
    basis, triangle = np.linalg.qr(design)
    basis, triangle = basis * np.sqrt(n), triangle / np.sqrt(n)  # columns of length 1 on average

    def loss(coef: NDArray) -> float:
        eta = basis @ coef + offset
        return float(np.mean(np.logaddexp(0, eta) - labels * eta))

    def gradient(coef: NDArray) -> NDArray:
        return basis.T @ (expit(basis @ coef + offset) - labels) / n

    def hessian(coef: NDArray) -> NDArray:
        probs = expit(basis @ coef + offset)
        return basis.T @ (basis * (probs * (1 - probs))[:, None]) / n

    result = minimize(loss, np.zeros(k), jac=gradient, hess=hessian, method='trust-exact', tol=1e-7)
    probs = expit(basis @ result.x + offset)
    if (np.minimum(probs, 1 - probs).min() < NEAR_CERTAIN or not result.success) and separates(
        design, labels
    ):
        raise UndefinedError('no finite logistic fit: the scores separate the classes')
    coef = result.x - np.linalg.solve(hessian(result.x), gradient(result.x))  # to full precision
    inverse = np.linalg.inv(triangle)
    covariance = inverse @ np.linalg.inv(hessian(coef) * n) @ inverse.T
    return Fit(inverse @ coef, covariance, 2 * n * loss(coef))


def separates(design: NDArray, labels: NDArray) -> bool:
    """Whether some combination of the columns ranks no positive below a negative (and is not constant 0).

    Albert & Anderson 1984, Biometrika 71:1; as a linear program: Konis 2007, thesis, University of Oxford.
    """
    from scipy.optimize import linprog

    signed = (design / np.abs(design).max(axis=0)) * (2 * labels - 1)[:, None]
    bounds = [(-1, 1)] * design.shape[1]
    solution = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(labels)), bounds=bounds)
    return bool(solution.fun < -1e-7)
