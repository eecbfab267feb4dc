"""Subgroups: the same estimates within each level of a column, with a floor on the size.

patients, column, threshold -> one row per group
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.evaluation import clinical_utility, statistics
from mammo.evaluation.statistics import undefined
from mammo.records.predictions import PredictionError

MAX_NUMERIC_GROUPS = 6  # a numeric column with more values is cut into thirds


def subgroup_rows(
    table: pd.DataFrame, column: str, threshold: NDArray | float | None, min_group: int
) -> list[dict[str, Any]]:
    """Patients by the values of ``column`` (thirds of a numeric one), unknown values as a group."""
    if column not in table:
        known = sorted(set(map(str, table)) - {'score', 'label', 'img_path', 'n_images', 'fold'})
        raise PredictionError(
            f'--subgroup {column}: no such column in the predictions; there are {", ".join(known)}'
        )
    values = table[column]
    names = values.astype(object).where(values.notna(), 'unknown').astype(str)
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > MAX_NUMERIC_GROUPS:
        thirds = values.groupby(pd.qcut(values, 3, labels=False, duplicates='drop'))
        span = [f'{low:g} to {high:g}' for low, high in zip(thirds.min(), thirds.max(), strict=True)]
        names = thirds.ngroup().map(dict(enumerate(span))).fillna('unknown')
    above = pd.Series(np.nan if threshold is None else threshold, table.index)
    order = values.groupby(names).min() if values.dtype != object else names.groupby(names).min()
    return [
        dict(column=column, group=name, **_subgroup(table[names == name], above[names == name], min_group))
        for name in order.sort_values(na_position='last').index
    ]


def _subgroup(part: pd.DataFrame, threshold: pd.Series, min_group: int) -> dict[str, Any]:
    scores, labels = part.score.to_numpy(float), part.label.to_numpy(float)
    result: dict[str, Any] = dict(n_patients=len(part), n_events=int(labels.sum()))
    if len(part) < min_group:
        keys = ('roc_auc', 'sensitivity', 'reduction_rate')
        return result | {key: undefined(f'fewer than {min_group} patients') for key in keys}
    called = clinical_utility.at_threshold(scores, labels, threshold.to_numpy())
    nothing = undefined('no threshold')
    at = {
        key: nothing if threshold.isna().any() else called[key] for key in ('sensitivity', 'reduction_rate')
    }
    return result | dict(roc_auc=statistics.roc_auc(scores, labels), **at)
