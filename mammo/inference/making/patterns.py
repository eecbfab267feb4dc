"""Calibration of the fused model for each pattern of inputs: which of the clinical variables are known.

members of each outer fold, with the patients whom they did not see -> a logistic line by pattern
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mammo.evaluation.cells import MIN_CLASS
from mammo.evaluation.clinical_use.calibration import clipped_logit
from mammo.evaluation.estimates import UndefinedError
from mammo.evaluation.logistic import fit_logistic
from mammo.fusion.partial import Member, without

MAX_VARIABLES = 11  # 2 ** 11 patterns; with more variables there are none
Line = dict[str, Any]  # recalibration: kind, intercept, slope


def pattern_lines(
    groups: Sequence[Sequence[Member]], side: str
) -> Iterator[tuple[pd.DataFrame, Line | None]]:
    """By pattern, a number whose bit i tells whether variable i is known: rows and line.

    Patients of a pattern are those of whom at least these variables are known, scored without the others:
    all patterns are calibrated on much the same patients, so they do not contradict each other by chance.
    A pattern with too few has no line.
    """
    n_variables = groups[0][0].unknowns.n_variables
    if n_variables > MAX_VARIABLES:
        return
    for pattern in range(2**n_variables):
        hidden = np.array([not pattern >> i & 1 for i in range(n_variables)])
        frames = [without(group, hidden, side=side) for group in groups]
        rows = pd.concat([frame.assign(fold=i) for i, frame in enumerate(frames) if frame is not None])
        rows = rows[rows.pattern == pattern]
        yield rows, _line(rows)


def _line(rows: pd.DataFrame) -> Line | None:
    """Slope within outer folds, whose models differ in level; intercept for the mean risk of all."""
    labels, n_events = rows.label.to_numpy(float), int(rows.label.sum())
    if min(n_events, len(rows) - n_events) < MIN_CLASS:
        return None
    x = clipped_logit(rows.prob.to_numpy())
    folds = pd.get_dummies(rows.fold).to_numpy(float)  # (n, folds)
    try:
        slope = fit_logistic(np.column_stack([x - x.mean(), folds]), labels).coef[0]
        slope = max(0.0, float(slope))  # inputs that tell nothing give all patients one risk
        intercept = fit_logistic(np.ones((len(x), 1)), labels, slope * x).coef[0]
    except UndefinedError:
        return None
    return dict(kind='platt', intercept=float(intercept), slope=slope)
