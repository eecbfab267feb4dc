"""Subgroups: the same estimates within each level of a column, and whether they differ.

patients, column, thresholds -> one row per group; tests of heterogeneity
"""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import logit

from mammo.errors import listed
from mammo.evaluation import statistics
from mammo.evaluation.clinical_use import calibration, clinical_utility
from mammo.evaluation.cohort.pooling import arrays
from mammo.evaluation.estimates import UndefinedError, Z, undefined
from mammo.evaluation.logistic import fit_logistic
from mammo.records.predictions import PredictionError

MAX_NUMERIC_GROUPS = 6  # a numeric column with more values is cut into thirds
AT_THRESHOLD = ('sensitivity', 'npv', 'reduction_rate')
OF_SCORES = ('roc_auc', 'intercept', 'slope', 'observed_expected', 'ici', 'e50', 'e90')
NOT_GROUPS = {'score', 'label', 'img_path', 'n_images', 'fold', 'threshold'}


def group_names(table: pd.DataFrame, column: str) -> pd.Series:
    """Name of each patient's group, in an ordered category; thirds of a numeric column, 'unknown' last.

    Raises:
        PredictionError: the predictions have no such column.
    """
    if column not in table:
        columns = sorted(set(map(str, table)) - NOT_GROUPS)
        raise PredictionError(
            f'--subgroup {column}: no such column in the predictions; there are {", ".join(columns)}'
        )
    values = table[column]
    _refuse_mixture(values, column)
    names = values.map(lambda value: f'{value:g}' if isinstance(value, Real) else str(value))
    names = names.where(values.notna(), 'unknown')
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > MAX_NUMERIC_GROUPS:
        thirds = values.groupby(pd.qcut(values, 3, labels=False, duplicates='drop'))
        span = [f'{low:g} to {high:g}' for low, high in zip(thirds.min(), thirds.max(), strict=True)]
        names = thirds.ngroup().map(dict(enumerate(span))).fillna('unknown')
    order = values.groupby(names).min() if values.dtype != object else names.groupby(names).min()
    return names.astype(pd.CategoricalDtype(order.sort_values(na_position='last').index, ordered=True))


def _refuse_mixture(values: pd.Series, column: str) -> None:
    """Many numbers and some text: groups of single numbers would be left of a column of ages."""
    is_text = values.map(lambda value: isinstance(value, str))
    if is_text.any() and values[~is_text].nunique() > MAX_NUMERIC_GROUPS:
        raise PredictionError(
            f'--subgroup {column}: {int((~is_text & values.notna()).sum())} values are numbers, others text: '
            f'{listed(sorted(set(values[is_text])), 3)}; correct these, or leave them empty if unknown'
        )


def subgroup_rows(
    table: pd.DataFrame, column: str, threshold: pd.Series, min_group: int
) -> list[dict[str, Any]]:
    """Estimates of each group; none of a group under ``min_group``."""
    names = group_names(table, column)
    return [
        dict(
            column=column, group=name, **_subgroup(table[names == name], threshold[names == name], min_group)
        )
        for name in names.cat.categories
    ]


def _subgroup(part: pd.DataFrame, threshold: pd.Series, min_group: int) -> dict[str, Any]:
    scores, labels = arrays(part)
    result: dict[str, Any] = dict(n_patients=len(part), n_events=int(labels.sum()))
    if len(part) < min_group:
        nothing = undefined(f'fewer than {min_group} patients')
        return result | dict.fromkeys((*OF_SCORES, *AT_THRESHOLD), nothing)
    called = clinical_utility.at_threshold(scores, labels, threshold.to_numpy())
    if threshold.isna().any():
        called = dict.fromkeys(AT_THRESHOLD, undefined('no threshold'))
    judged = dict(roc_auc=statistics.roc_auc(scores, labels), **calibration.summary(scores, labels))
    return result | judged | {key: called[key] for key in AT_THRESHOLD}


def heterogeneity(table: pd.DataFrame, column: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Do the groups differ? One test of the AUCs and one of the calibration, over groups with an estimate."""
    judged = [row for row in rows if row['group'] != 'unknown' and row['roc_auc']['ci_low'] is not None]
    result: dict[str, Any] = dict(column=column, groups=[row['group'] for row in judged])
    if len(judged) < 2:
        return result | dict(p_auc=None, p_calibration=None, reason='fewer than two groups with an interval')
    names = group_names(table, column)
    part = table[names.isin(result['groups'])]
    return result | dict(
        p_auc=_equal_aucs(judged),
        p_calibration=_equal_calibration(part, names[part.index].astype(str)),
        method='AUC: Cochran Q of DeLong variances; calibration: likelihood ratio of an intercept per group',
    )


def _equal_aucs(rows: list[dict[str, Any]]) -> float | None:
    """Cochran 1954, Biometrics 10:101, from the groups' intervals; None where one is not symmetric."""
    values = np.array([row['roc_auc']['value'] for row in rows])
    halves = [max(e['ci_high'] - e['value'], e['value'] - e['ci_low']) for e in (r['roc_auc'] for r in rows)]
    if any(row['roc_auc']['method'] != 'DeLong' for row in rows):  # an exact bound has no variance
        return None
    weights = (Z / np.array(halves)) ** 2
    q = float(np.sum(weights * (values - np.average(values, weights=weights)) ** 2))
    return float(stats.chi2.sf(q, len(rows) - 1))


def _equal_calibration(part: pd.DataFrame, names: pd.Series) -> float | None:
    """Whether the log odds of the event miss the predicted ones by as much in every group."""
    probs, labels = arrays(part)
    if probs.min() <= 0 or probs.max() >= 1:
        return None
    groups = pd.get_dummies(names).to_numpy(float)
    try:
        alike = fit_logistic(np.ones((len(part), 1)), labels, logit(probs))
        apart = fit_logistic(groups, labels, logit(probs))
    except UndefinedError:
        return None
    return float(stats.chi2.sf(max(alike.deviance - apart.deviance, 0), groups.shape[1] - 1))
