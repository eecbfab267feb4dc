"""Inputs that were not known: how often each was imputed, and whether not knowing it tells the label.

patients with missing_inputs ('; ' between names) -> one row per input
"""

from typing import Any

import pandas as pd
from scipy import stats

COLUMN = 'missing_inputs'  # as mlp.py writes it, see mammo/records/fusion_set.py
LEVEL = 0.05  # of all inputs together


def missingness(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Counts by input; empty where predictions do not tell.

    ``p`` is Fisher's exact test against the label, times the number of inputs (Bonferroni); None without one.
    """
    if COLUMN not in table:
        return []
    flags = table[COLUMN].fillna('').str.get_dummies('; ').astype(bool)
    rows = [_one(str(name), flags[name], table.label, len(flags.columns)) for name in flags]
    return sorted(rows, key=lambda row: (-row['n_imputed'], row['input']))


def telling(rows: list[dict[str, Any]]) -> list[str]:
    """Names of the inputs whose absence alone goes with the label."""
    return [row['input'] for row in rows if row['p'] is not None and row['p'] < LEVEL]


def _one(name: str, missing: pd.Series, label: pd.Series, n_inputs: int) -> dict[str, Any]:
    row = dict(input=name, n_imputed=int(missing.sum()), n_patients=len(missing))
    table = pd.crosstab(missing, label)
    if table.shape != (2, 2):
        return row | dict(event_rate_imputed=None, event_rate_known=None, p=None)
    p = min(float(stats.fisher_exact(table).pvalue) * n_inputs, 1.0)
    rates = label.groupby(missing).mean()
    return row | dict(event_rate_imputed=float(rates[True]), event_rate_known=float(rates[False]), p=p)
