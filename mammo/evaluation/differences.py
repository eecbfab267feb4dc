"""Differences of two models on the same patients, each with an interval of its own kind.

values of a and b per patient -> estimate of a minus b
"""

import math

import numpy as np
from numpy.typing import NDArray

from mammo.evaluation.estimates import (
    Estimate,
    UndefinedError,
    Z,
    defined,
    estimate,
    interval_of_difference,
    resampled,
)
from mammo.evaluation.resampling import percentile_interval
from mammo.evaluation.statistics import proportion


@defined
def delta_proportion(a: NDArray, b: NDArray) -> Estimate:
    """Share of True in a minus that in b, both (n,) of the same patients; never without width.

    Bonett & Price 2012, J. Educ. Behav. Stat. 37:479: one patient is added to each kind of disagreement.
    """
    n = len(a)
    if not n:
        raise UndefinedError('no patient in the denominator')
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    p_a, p_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = Z * math.sqrt((p_a + p_b - (p_a - p_b) ** 2) / (n + 2))
    low, high = max(p_a - p_b - half, -1), min(p_a - p_b + half, 1)
    return estimate((only_a - only_b) / n, low, high, 'paired, adjusted Wald (Bonett-Price)')


@defined
def delta_npv(called_a: NDArray, called_b: NDArray, labels: NDArray) -> Estimate:
    """Negative predictive value of a minus that of b, whose patients below the threshold overlap.

    From Wilson's intervals; the correlation is that of two means which share patients.
    """
    below_a, below_b, healthy = ~called_a, ~called_b, labels == 0
    n_a, n_b = int(np.sum(below_a)), int(np.sum(below_b))
    a, b = (proportion(np.sum(below & healthy), np.sum(below)) for below in (below_a, below_b))
    if not n_a or not n_b:
        raise UndefinedError('a model has no patient below its threshold')
    if np.array_equal(below_a, below_b):
        raise UndefinedError('both models have the same patients below their thresholds')
    rest_a, rest_b = below_a * (healthy - a['value']), below_b * (healthy - b['value'])  # (n,)
    spread = math.sqrt(np.sum(rest_a**2) * np.sum(rest_b**2))
    overlap = np.sum(below_a & below_b) / math.sqrt(n_a * n_b)  # where a model misses nobody
    shared = float(np.sum(rest_a * rest_b)) / spread if spread > 1e-12 else overlap
    low, high = interval_of_difference(a, b, shared)
    return estimate(a['value'] - b['value'], low, high, 'Wilson intervals combined (MOVER), paired')


@defined
def delta_resampled(value: float, a: NDArray, b: NDArray, note: str = '') -> Estimate:
    """Difference ``value`` of two statistics with replicates (n_bootstrap,) that share their draws."""
    return resampled(value, *percentile_interval(a - b), f'paired bootstrap over patients, percentile{note}')
