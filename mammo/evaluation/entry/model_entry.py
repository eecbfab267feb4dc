"""One model's entry of the report: discrimination, calibration, clinical use, subgroups.

patients with their thresholds, their bootstrap replicates, options -> dict of estimates
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit

from mammo.evaluation import resampling, statistics
from mammo.evaluation.clinical_use import calibration, clinical_utility, sample_size
from mammo.evaluation.cohort.pooling import Model, arrays
from mammo.evaluation.entry.centres import centres
from mammo.evaluation.entry.missingness import missingness
from mammo.evaluation.entry.recalibration import recalibration
from mammo.evaluation.entry.subgroups import heterogeneity, subgroup_rows
from mammo.evaluation.entry.within_folds import within_fold_auc
from mammo.evaluation.estimates import Estimate, UndefinedError, estimate, resampled, undefined
from mammo.evaluation.report.options import Options

OPTIMISTIC = 'no interval: threshold chosen on these patients'


def binary_entry(model: Model, drawn: resampling.Replicates | None, options: Options) -> dict[str, Any]:
    """Entry of a model of a probability; see docs/evaluation.md."""
    table = model.table
    scores, labels = arrays(table)
    auc, pr, reduction = _resampled(scores, labels, drawn, options)
    on_test, on_development = _on_test(scores, labels, reduction, options), _from_development(model)
    threshold = (
        table.threshold if on_development else pd.Series(on_test['threshold'], table.index, dtype=float)
    )
    groups = {
        column: subgroup_rows(table, column, threshold, options.min_group) for column in options.subgroups
    }
    return dict(
        n_patients=len(table),
        n_events=int(labels.sum()),
        n_women=table.woman.nunique() if 'woman' in table else None,
        roc_auc=statistics.roc_auc(scores, labels),
        roc_auc_bootstrap=auc,
        pr_auc=pr,
        brier=calibration.brier(scores, labels),
        calibration=calibration.summary(scores, labels),
        cross_validation=_cross_validation(model),
        sample_size=sample_size.needed(scores, labels),
        missing_inputs=missingness(table),
        centres=centres(table, options.min_group),
        stability=None,
        recalibration=recalibration(model, options.thresholds),
        net_benefit=clinical_utility.net_benefit(scores, labels, options.thresholds),
        thresholds=clinical_utility.threshold_table(scores, labels),
        slnb=dict(development=on_development, test=on_test),
        subgroups=[row for rows in groups.values() for row in rows],
        heterogeneity=[heterogeneity(table, column, rows) for column, rows in groups.items()],
    )


def regression_entry(model: Model, _drawn: object, options: Options) -> dict[str, Any]:
    """Entry of a model of a value: R2, Pearson."""
    scores, labels = arrays(model.table)
    return dict(
        n_patients=len(labels),
        n_events=None,
        r2=statistics.r2(scores, labels, options.n_bootstrap, options.seed),
        pearson=statistics.pearson(scores, labels, options.n_bootstrap, options.seed),
        cross_validation=None,
        stability=None,
        subgroups=[],
    )


def _cross_validation(model: Model) -> dict[str, Any] | None:
    """What tells a reader that the scores are those of several models; None if they are of one."""
    if not model.is_cross_validated:
        return None
    within = within_fold_auc(model.rows)
    return dict(n_folds=model.rows.fold.nunique(), n_repeats=model.n_repeats, roc_auc_within_folds=within)


def _resampled(
    scores: NDArray, labels: NDArray, drawn: resampling.Replicates | None, options: Options
) -> list[Estimate]:
    """ROC AUC, PR AUC and biopsies spared with intervals of the bootstrap."""
    if drawn is None:
        return [undefined('patients of one class only')] * 3
    auc, pr, reduction = resampling.point(scores, labels, options.sensitivity)
    n_events = int(np.sum(labels == 1))
    if min(n_events, len(labels) - n_events) < 2:
        reason = 'no interval: one patient in a class'
        return [estimate(value, None, None, 'none', reason=reason) for value in (auc, pr, reduction)]
    method, percentile = 'bootstrap over patients, percentile', resampling.percentile_interval
    on_logit = _logit_interval(pr, drawn.pr_auc, n_events)
    return [
        resampled(auc, *percentile(drawn.roc_auc), method),
        resampled(pr, *on_logit, 'bootstrap over patients, t on the logit'),
        resampled(reduction, *percentile(drawn.reduction), f'{method}, threshold chosen in each draw'),
    ]


def _logit_interval(value: float, replicates: NDArray, n_events: int) -> tuple[float, float]:
    """Interval of t on the logit with the spread of replicates (n_bootstrap,); no width at 0 or 1.

    The variance of a bootstrap is too small by (n - 1) / n: Davison & Hinkley 1997, section 2.3, n of events.
    """
    inside = replicates[(replicates > 0) & (replicates < 1)]  # without NaN
    if not 0 < value < 1 or len(inside) < len(replicates) / 2:
        return value, value
    error = float(np.std(logit(inside))) * np.sqrt(n_events / (n_events - 1))
    half = float(stats.t.ppf(0.975, n_events - 1)) * error
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _on_test(scores: NDArray, labels: NDArray, reduction: Estimate, options: Options) -> dict[str, Any]:
    """At the threshold chosen on the test patients themselves."""
    try:
        threshold = clinical_utility.slnb_threshold(scores, labels, options.sensitivity)
    except UndefinedError as reason:
        return _no_threshold('test', str(reason))
    result = clinical_utility.slnb(scores, labels, threshold, 'test')
    for key in ('sensitivity', 'specificity', 'ppv', 'npv', 'fnr'):
        if result[key]['value'] is not None:
            result[key] |= dict(ci_low=None, ci_high=None, reason=OPTIMISTIC)
    return result | dict(reduction_rate=reduction)


def _from_development(model: Model) -> dict[str, Any] | None:
    """At the thresholds chosen on development data; None if there are none."""
    if model.tuning is None:
        return None
    if not model.thresholds:
        return _no_threshold('development', model.reason or '')
    result = clinical_utility.slnb(*arrays(model.table), model.table.threshold.to_numpy(), 'development')
    if model.promises:
        result |= dict(promise=model.promises)
    if '' in model.thresholds:
        return result
    return result | dict(threshold=None, threshold_by_fold=model.thresholds)


def _no_threshold(chosen_on: str, reason: str) -> dict[str, Any]:
    keys = ('sensitivity', 'reduction_rate', 'fnr', 'npv')
    nothing = {key: undefined(f'no threshold: {reason}') for key in keys}
    return dict(threshold=None, threshold_chosen_on=chosen_on, **nothing, reason=reason)
