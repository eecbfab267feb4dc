"""Clinical use: net benefit, what a threshold does, and the biopsies that it would spare.

scores (n,), labels (n,), threshold -> net benefit, sensitivity, SLNB reduction, each with its interval
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammo.evaluation.estimates import (
    Estimate,
    UndefinedError,
    interval_of_difference,
    require_classes,
    require_probs,
)
from mammo.evaluation.statistics import mean, proportion

TABLE_THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)  # of prob, threshold table


def benefit(scores: NDArray, labels: NDArray, threshold: float) -> NDArray:
    """Each patient's part (n,) of the net benefit TP/n - FP/n * t/(1-t); positive means prob >= t.

    Vickers & Elkin 2006, Med. Decis. Making 26:565.
    """
    return (scores >= threshold) * (labels - (1 - labels) * threshold / (1 - threshold))


def mean_benefit(scores: NDArray, labels: NDArray, thresholds: NDArray) -> NDArray:
    """Each patient's part (n,) of the mean net benefit over thresholds."""
    return np.mean([benefit(scores, labels, t) for t in thresholds], axis=0)


def net_benefit(probs: NDArray, labels: NDArray, thresholds: NDArray) -> list[dict[str, Any]]:
    """Decision curve of the model, of treating all and of treating none; empty if scores are no probs.

    ``avoided_per_100``: net interventions avoided per 100 patients against treating all (Vickers et al. 2008,
    BMC Med. Inform. Decis. Mak. 8:53).
    """
    try:
        require_probs(probs)
    except UndefinedError:
        return []
    rows = []
    for t in thresholds.tolist():
        low, high = _benefit_interval(probs >= t, labels == 1, t / (1 - t))
        value, treat_all = benefit(probs, labels, t).mean(), benefit(np.ones(len(labels)), labels, t).mean()
        row = dict(threshold=t, model=float(value), ci_low=low, ci_high=high, treat_all=float(treat_all))
        avoided = (value - treat_all) / (t / (1 - t)) * 100
        rows.append(row | dict(treat_none=0.0, avoided_per_100=float(avoided)))
    return rows


def _benefit_interval(called: NDArray, event: NDArray, odds: float) -> tuple[float, float]:
    """Interval of TP/n - odds * FP/n from Wilson's intervals of the two shares of one multinomial."""
    hits, alarms = (proportion(np.sum(called & part), len(event)) for part in (event, ~event))
    tp, fp = hits['value'], alarms['value']
    correlation = -math.sqrt(tp * fp / ((1 - tp) * (1 - fp))) if tp < 1 and fp < 1 else 0.0
    return interval_of_difference(hits, alarms, correlation, odds)


def delta_net_benefit(a: NDArray, b: NDArray, labels: NDArray, thresholds: NDArray) -> list[dict[str, Any]]:
    """Net benefit of a minus that of b on the same patients, with paired intervals."""
    try:
        require_probs(np.concatenate([a, b]))
    except UndefinedError:
        return []
    differences = {t: benefit(a, labels, t) - benefit(b, labels, t) for t in thresholds.tolist()}
    return [
        dict(threshold=t, **mean(d, 'normal, paired per-patient benefits')) for t, d in differences.items()
    ]


def at_threshold(scores: NDArray, labels: NDArray, threshold: NDArray | float) -> dict[str, Estimate]:
    """What calling ``score >= threshold`` positive does; a threshold (n,) may differ between folds."""
    called, event = scores >= threshold, labels == 1
    return dict(
        sensitivity=proportion(np.sum(called & event), np.sum(event)),
        specificity=proportion(np.sum(~called & ~event), np.sum(~event)),
        ppv=proportion(np.sum(called & event), np.sum(called)),
        npv=proportion(np.sum(~called & ~event), np.sum(~called)),
        fnr=proportion(np.sum(~called & event), np.sum(event)),
        reduction_rate=proportion(np.sum(~called), len(scores)),
    )


def threshold_table(probs: NDArray, labels: NDArray) -> list[dict[str, Any]]:
    """``at_threshold`` at fixed probabilities; empty if scores are no probs."""
    try:
        require_probs(probs)
    except UndefinedError:
        return []
    return [dict(threshold=t, **at_threshold(probs, labels, t)) for t in TABLE_THRESHOLDS]


def slnb_threshold(scores: NDArray, labels: NDArray, sensitivity: float) -> float:
    """Highest threshold that keeps ``sensitivity``: the score of the k-th best positive patient (SPEC 8)."""
    require_classes(np.append(labels, 0))
    positives = np.sort(scores[labels == 1])[::-1]
    needed = max(math.ceil(sensitivity * len(positives) - 1e-9), 1)  # 0.55 * 100 is 55.00000000000001
    return float(positives[needed - 1])


def slnb(scores: NDArray, labels: NDArray, threshold: NDArray | float, chosen_on: str) -> dict[str, Any]:
    """Sensitivity, SLNB reduction, false-negative rate and NPV at a threshold; the threshold if it is one."""
    values = np.unique(threshold)
    single = float(values[0]) if len(values) == 1 else None
    return dict(threshold=single, threshold_chosen_on=chosen_on, **at_threshold(scores, labels, threshold))
