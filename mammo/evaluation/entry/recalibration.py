"""Recalibration in the report: fitted on development, judged on test.

Model -> how its recalibrated risks are calibrated, and their decision curve
"""

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from mammo.evaluation.clinical_use import calibration, clinical_utility
from mammo.evaluation.cohort.pooling import Model, arrays, by_fold
from mammo.evaluation.estimates import UndefinedError, undefined

FITS = dict(platt=calibration.fit_platt, isotonic=calibration.fit_isotonic)
STEPS = 'a step function has risks of 0 and 1, which have no logit: use observed / expected'


def recalibration(model: Model, thresholds: NDArray) -> dict[str, Any] | None:
    """By outer fold, whose test patients are development elsewhere; None without development data."""
    if model.tuning is None:
        return None
    parts = by_fold(model.rows, model.tuning)
    return {kind: _one(kind, model, parts, thresholds) for kind in FITS}


def _one(kind: str, model: Model, parts: dict[str, pd.DataFrame], thresholds: NDArray) -> dict[str, Any]:
    try:
        fitted = {fold: FITS[kind](*arrays(part)) for fold, part in parts.items()}
    except UndefinedError as reason:
        return dict(parameters=None, brier=undefined(str(reason)), net_benefit=[])
    rows = model.rows
    probs = pd.Series(index=rows.index, dtype=float)
    for fold, parameters in fitted.items():
        mine = (rows.fold == fold).to_numpy() | (fold == '')
        probs[mine] = calibration.recalibrate(parameters, rows.score.to_numpy(float)[mine])
    labels = model.table.label.to_numpy(float)
    risks = probs.groupby(level=0).mean().reindex(model.table.index).to_numpy()
    judged = calibration.summary(risks, labels)
    if kind == 'isotonic':
        judged |= dict.fromkeys(('intercept', 'slope', 'ici', 'e50', 'e90'), undefined(STEPS))
    return dict(
        parameters=fitted.get('') or dict(by_fold=fitted),
        brier=calibration.brier(risks, labels),
        **judged,
        net_benefit=clinical_utility.net_benefit(risks, labels, thresholds),
    )
