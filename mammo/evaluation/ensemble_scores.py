"""Scores of cross-fitted ensembles, brought to what the one ensemble of all members will say.

rows of patients whom some members did not see -> spread of the whole ensemble; lines of subsets
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mammo.evaluation.calibration import clipped_logit

FREE = 10.0  # standard deviation of the prior of shifts
LEAST = 0.5  # of the variance of a few members' mean that that of all has: less would be a poor estimate


def whole_spread(rows: pd.DataFrame, n_members: int) -> float:
    """Standard deviation of the mean logit of all members over that of the few who did not see a patient.

    Errors of members cancel in their mean, so the mean of more of them spreads less and is worth a steeper
    slope: Spearman 1910 and Brown 1910, Br. J. Psychol. 3:271 and 3:296, with members as the items of a test.

    Args:
        rows: prob, fold, disagreement (variance between members), n_few (members that prob is the mean of).
        n_members: of the whole ensemble.
    """
    x = pd.Series(clipped_logit(rows.prob.to_numpy(float)), rows.index)
    variance = float((x - x.groupby(rows.fold.to_numpy()).transform('mean')).var(ddof=0))
    gone = float((rows.disagreement * (1 / rows.n_few - 1 / n_members)).mean())
    return float(np.sqrt(max(1 - gone / variance, LEAST))) if variance else 1.0


class Lines(NamedTuple):
    """How a logit is to be read with a subset of the variables: (base + slopes) * logit + shifts."""

    base: float
    slopes: NDArray[np.float64]  # (v,) of each known variable
    shifts: NDArray[np.float64]  # (v,)

    def slope(self, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Of each row, known (n, v) -> (n,); never below 0, which would turn the order of patients round."""
        return np.maximum(self.base + known @ self.slopes, 0)

    def __call__(self, logit: NDArray, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n,), known (n, v) -> (n,)."""
        return self.slope(known) * logit + known @ self.shifts


def lines_of(rows: pd.DataFrame, known: NDArray[np.bool_]) -> Lines:
    """Fit them: a subset of strong variables deserves a steeper line than as many weak ones.

    All subsets are of the same patients, so chance tells little of their shifts, which are hardly restrained;
    slopes have a standard normal prior, against which each patient counts once, not once for each row.

    Args:
        rows: patient_id, prob, label, n_known.
        known: (n, v).

    Returns:
        The identity, where the scores tell nothing.
    """
    v = known.shape[1]
    if rows.label.nunique() < 2:
        return Lines(1.0, np.zeros(v), np.zeros(v))
    numbers = pd.get_dummies(rows.n_known).to_numpy(float)
    x = clipped_logit(rows.prob.to_numpy(float))
    design = np.column_stack([numbers * FREE, x, known * x[:, None], known * FREE])
    weights = np.full(len(rows), rows.patient_id.nunique() / len(rows))
    model = LogisticRegression(C=1.0, fit_intercept=False, solver='newton-cholesky')
    coef = model.fit(design, rows.label, weights).coef_[0][numbers.shape[1] :]
    return Lines(float(coef[0]), coef[1 : 1 + v], coef[1 + v :] * FREE)
