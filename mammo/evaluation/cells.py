"""Cells of a bundle's decisions from patients whom the models did not see.

scores, labels, subset of the known variables -> calibration, threshold, and what it achieves, with intervals
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from mammo.evaluation.clinical_use.calibration import fit_platt, recalibrate
from mammo.evaluation.clinical_use.clinical_utility import slnb_threshold
from mammo.evaluation.clinical_use.thresholds import promised_threshold
from mammo.evaluation.estimates import UndefinedError, undefined

Cell = dict[str, Any]  # recalibration, threshold, achieved, n_patients, n_events, log_loss, reason
N_DRAWS = 4000  # of the intervals
MIN_CLASS = 5  # positives and negatives that a cell needs


def cell(
    rows: pd.DataFrame, target: float, confidence: float | None, line: dict[str, Any] | None = None
) -> Cell:
    """One cell.

    Args:
        rows: prob (mean of the members), label, subset (0 where there is only one), patient_id.
        target: sensitivity to keep; with ``confidence``, the true one.
        line: recalibration; None: it is fitted on these rows.
    """
    probs, labels = rows.prob.to_numpy(float), rows.label.to_numpy(float)
    patients = rows.drop_duplicates('patient_id')
    about = dict(n_patients=len(patients), n_events=int(patients.label.sum()))
    nothing = dict(recalibration=None, threshold=None, achieved=None, log_loss=None, **about)
    if min(about['n_events'], len(patients) - about['n_events']) < MIN_CLASS:
        return nothing | dict(reason=f'fewer than {MIN_CLASS} patients of a class')
    try:
        fitted = line or fit_platt(probs, labels)
    except UndefinedError as reason:
        return nothing | dict(reason=str(reason))
    if fitted['slope'] <= 0 and not line:
        return nothing | dict(reason='these inputs tell nothing')  # it would turn the order of patients round
    calibrated = rows.assign(prob=recalibrate(fitted, probs))
    log_loss = float(-np.log(np.where(labels == 1, calibrated.prob, 1 - calibrated.prob)).mean())
    return dict(recalibration=fitted, log_loss=log_loss, **about, **decided(calibrated, target, confidence))


def decided(rows: pd.DataFrame, target: float, confidence: float | None) -> dict[str, Any]:
    """Threshold of calibrated probs, its promise, and what it achieves; or the reason why there is none."""
    threshold, promise = _threshold(rows, target, confidence)
    if threshold is None:
        return dict(threshold=None, achieved=None, promise=promise, reason=promise['reason'])
    return dict(threshold=threshold, promise=promise, achieved=achieved(rows, threshold))


def _threshold(
    rows: pd.DataFrame, target: float, confidence: float | None
) -> tuple[float | None, dict[str, Any]]:
    """Threshold of calibrated probs, and what is promised; of a promise, that of the worst subset."""
    if confidence is None:
        return slnb_threshold(rows.prob.to_numpy(), rows.label.to_numpy(), target), {}
    promises = [
        promised_threshold(part.prob.to_numpy(), part.label.to_numpy(), target, confidence)
        for _, part in rows.groupby('subset')
        if part.label.sum() >= rows.groupby('subset').label.sum().max() / 2
    ]
    worst = min(promises, key=lambda p: -1 if p['threshold'] is None else p['threshold'])
    return worst['threshold'], worst


def achieved(rows: pd.DataFrame, threshold: float) -> dict[str, dict[str, Any]]:
    """Sensitivity and the like, with intervals that hold the difference between subsets, too."""
    called, event = rows.prob >= threshold, rows.label == 1
    counts = dict(
        sensitivity=(called & event, event),
        reduction_rate=(~called, called | ~called),
        fnr=(~called & event, event),
        npv=(~called & ~event, ~called),
    )
    return {name: _estimate(hit, among, rows.subset) for name, (hit, among) in counts.items()}


def _estimate(hit: pd.Series, among: pd.Series, subset: pd.Series) -> dict[str, Any]:
    """Share over all rows; interval of the share of one subset drawn at random: Jeffreys' for each.

    Brown, Cai & DasGupta 2001, Stat. Sci. 16:101; ends of 0 and 1 where none or all are hit.
    """
    by_subset = pd.DataFrame(dict(hit=hit, among=among, subset=subset)).groupby('subset').sum()
    by_subset = by_subset[by_subset.among > 0]
    if by_subset.empty:
        return undefined('no patient in the denominator')
    low, high = _interval(by_subset)
    value = float(by_subset.hit.sum() / by_subset.among.sum())
    return dict(value=value, ci_low=low, ci_high=high, method='Jeffreys, over subsets of the known variables')


def _interval(by_subset: pd.DataFrame) -> tuple[float, float]:
    if len(by_subset) == 1:
        hit, among = by_subset.iloc[0]
        low, high = betaincinv(hit + 0.5, among - hit + 0.5, [0.025, 0.975])
    else:
        low, high = np.quantile(_shares(by_subset), [0.025, 0.975])
    all_hit, none_hit = (by_subset.hit == by_subset.among).all(), (by_subset.hit == 0).all()
    return (0.0 if none_hit else float(low)), (1.0 if all_hit else float(high))


def _shares(by_subset: pd.DataFrame) -> NDArray:
    """Shares of subsets that are drawn at random, each with its uncertainty."""
    rng = np.random.default_rng(0)
    weights = by_subset.among / by_subset.among.sum()
    drawn = by_subset.iloc[rng.choice(len(by_subset), N_DRAWS, p=weights)]
    return rng.beta(drawn.hit + 0.5, drawn.among - drawn.hit + 0.5)
