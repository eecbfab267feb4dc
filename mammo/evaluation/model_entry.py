"""One model's entry of the report: discrimination, calibration, clinical use, subgroups.

test patients, their bootstrap replicates, development patients or None -> dict of estimates
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.evaluation import calibration, clinical_utility, resampling, statistics
from mammo.evaluation.statistics import Estimate, UndefinedError, undefined
from mammo.evaluation.subgroups import subgroup_rows
from mammo.records.predictions import PredictionError


class Options(NamedTuple):
    """Settings of an evaluation."""

    n_bootstrap: int = 10_000
    sensitivity: float = 0.9
    subgroups: Sequence[str] = ()
    min_group: int = 20  # smaller subgroups get no estimate
    interval: str = 'percentile'  # of bootstraps; or bca
    kind: str = 'auto'  # binary, regression
    seed: int = 0
    strict: bool = False  # refuse to compare models on different patients

    def rng(self) -> np.random.Generator:
        """A fresh generator: every use starts from the same seed, whatever was computed before."""
        return np.random.default_rng(self.seed)


def arrays(table: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Patients -> scores (n,), labels (n,)."""
    return table.score.to_numpy(float), table.label.to_numpy(float)


def binary_entry(
    table: pd.DataFrame, drawn: resampling.Replicates | None, tuning: pd.DataFrame | None, options: Options
) -> dict[str, Any]:
    """Entry of a model of a probability; see README, report.json."""
    scores, labels = arrays(table)
    auc, pr, reduction = _resampled(scores, labels, drawn, options)
    on_test = _slnb(scores, labels, scores, labels, 'test', options) | dict(reduction_rate=reduction)
    tuned = None if tuning is None else _slnb_from_development(table, tuning, options)
    threshold = _threshold(tuned or on_test, table.fold)
    groups = [subgroup_rows(table, column, threshold, options.min_group) for column in options.subgroups]
    return dict(
        n_patients=len(table),
        n_events=int(labels.sum()),
        roc_auc=statistics.roc_auc(scores, labels),
        roc_auc_bootstrap=auc,
        pr_auc=pr,
        brier=calibration.brier(scores, labels),
        calibration=dict(
            intercept=calibration.intercept(scores, labels), slope=calibration.slope(scores, labels)
        ),
        recalibration=None if tuning is None else _recalibration(table, tuning),
        net_benefit=clinical_utility.net_benefit(scores, labels),
        thresholds=clinical_utility.threshold_table(scores, labels),
        slnb=dict(development=tuned, test=on_test),
        subgroups=[row for rows in groups for row in rows],
    )


def regression_entry(
    table: pd.DataFrame, _drawn: object, _tuning: pd.DataFrame | None, options: Options
) -> dict[str, Any]:
    """Entry of a model of a value: R2, Pearson."""
    scores, labels = arrays(table)
    r2 = statistics.r2(scores, labels, options.n_bootstrap, options.rng())
    return dict(
        n_patients=len(table), n_events=None, r2=r2, pearson=statistics.pearson(scores, labels), subgroups=[]
    )


def _resampled(
    scores: NDArray, labels: NDArray, drawn: resampling.Replicates | None, options: Options
) -> list[Estimate]:
    if drawn is None:
        return [undefined('patients of one class only')] * 3
    w_pos, w_neg = (np.ones((1, int(np.sum(labels == k))), np.int32) for k in (1, 0))
    values = resampling.weighted(resampling.ordered(scores, labels), w_pos, w_neg, options.sensitivity)
    if min(w_pos.size, w_neg.size) < 2:
        reason = 'no interval: one patient in a class'
        return [statistics.estimate(value[0], None, None, 'none', reason=reason) for value in values]
    left_out = (
        resampling.leave_one_out(scores, labels, options.sensitivity) if options.interval == 'bca' else []
    )
    method = f'stratified bootstrap, {options.interval}'
    estimates = []
    for i, (value, replicates) in enumerate(zip(values, drawn, strict=True)):
        low, high = resampling.percentile_interval(replicates)
        if left_out:
            low, high = resampling.bca_interval(replicates, value[0], [stratum[i] for stratum in left_out])
        estimates.append(statistics.estimate(value[0], low, high, method))
    estimates[2]['method'] += ', threshold chosen in each draw'
    return estimates


def _slnb(
    scores: NDArray,
    labels: NDArray,
    chosen_scores: NDArray,
    chosen_labels: NDArray,
    where: str,
    options: Options,
) -> dict[str, Any]:
    try:
        threshold = clinical_utility.slnb_threshold(chosen_scores, chosen_labels, options.sensitivity)
    except UndefinedError as reason:
        keys = ('sensitivity', 'reduction_rate', 'fnr', 'npv')
        nothing = {key: undefined(f'no threshold: {reason}') for key in keys}
        return dict(threshold=None, threshold_chosen_on=where, **nothing, reason=str(reason))
    return clinical_utility.slnb(scores, labels, threshold, where)


def _slnb_from_development(table: pd.DataFrame, tuning: pd.DataFrame, options: Options) -> dict[str, Any]:
    scores, labels = arrays(table)
    if (table.fold == '').all() or (tuning.fold == '').all():
        pooled = tuning.groupby('patient_id')[['score', 'label']].mean()
        return _slnb(scores, labels, *arrays(pooled), 'development', options)
    try:  # each outer fold has models, and therefore a threshold, of its own
        by_fold = {
            fold: clinical_utility.slnb_threshold(*arrays(part), options.sensitivity)
            for fold, part in tuning.groupby('fold')
        }
    except UndefinedError:
        return _slnb(scores, labels, scores[:0], labels[:0], 'development', options)
    missing = sorted(set(table.fold) - set(by_fold))
    if missing:
        raise PredictionError(f'outer fold {missing[0]} has test but no development predictions; give both')
    result = clinical_utility.slnb(scores, labels, table.fold.map(by_fold).to_numpy(), 'development')
    return result | dict(threshold_by_fold=by_fold)


def _threshold(slnb: dict[str, Any], folds: pd.Series) -> NDArray | float | None:
    return (
        folds.map(slnb['threshold_by_fold']).to_numpy() if 'threshold_by_fold' in slnb else slnb['threshold']
    )


def _recalibration(table: pd.DataFrame, tuning: pd.DataFrame) -> dict[str, Any]:
    """Fitted on development, judged on test; by outer fold, whose test patients are development elsewhere."""
    scores, labels = arrays(table)
    pooled = (table.fold == '').all() or (tuning.fold == '').all()
    parts = {'': tuning} if pooled else dict(iter(tuning.groupby('fold')))
    results = {}
    for kind, fit in (('platt', calibration.fit_platt), ('isotonic', calibration.fit_isotonic)):
        try:
            fitted = {fold: fit(*arrays(part)) for fold, part in parts.items()}
        except UndefinedError as reason:
            results[kind] = dict(parameters=None, brier=undefined(str(reason)))
            continue
        probs = np.empty(len(scores))
        for fold, parameters in fitted.items():
            rows = np.full(len(scores), True) if pooled else (table.fold == fold).to_numpy()
            probs[rows] = calibration.recalibrate(parameters, scores[rows])
        results[kind] = dict(
            parameters=fitted[''] if pooled else dict(by_fold=fitted),
            brier=calibration.brier(probs, labels),
            intercept=calibration.intercept(probs, labels),
            slope=calibration.slope(probs, labels),
        )
    return results
