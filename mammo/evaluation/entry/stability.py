"""Would another training run have said the same? Scores of the members of an ensemble against their mean.

rows per patient and member -> mean absolute difference, share of changed decisions
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mammo.evaluation.cohort.reading import read_patients

Files = Sequence[tuple[str, Path]]  # outer fold ('' without), file of one member's test predictions


def read_members(files: Files, task: str, **reading: Any) -> pd.DataFrame | None:
    """Every member's score of every patient (patient_id, fold, member, score); None of single models."""
    folds = pd.Series([fold for fold, _ in files])
    if len(files) < 2 or (folds.value_counts() < 2).any():
        return None
    tables = [
        read_patients([path], task, **reading).table[['score']].assign(fold=fold, member=i)
        for i, (fold, path) in enumerate(files)
    ]
    return pd.concat(tables).reset_index()


def stability(members: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """Prediction instability: Riley & Collins 2023, Biom. J. 65:2200302, of members, not bootstrap models.

    ``changed_decisions``: how often a member is on the other side of the threshold than the mean is.
    """
    together = with_mean(members, table)
    gap = (together.score - together['mean']).abs().groupby(together.patient_id).mean()
    result = dict(
        n_members=int(together.groupby('patient_id').size().median()),
        mean_absolute_difference=float(gap.mean()),
        p90_absolute_difference=float(gap.quantile(0.9)),
    )
    decided = together[together.threshold.notna()]
    changed = (decided.score >= decided.threshold) != (decided['mean'] >= decided.threshold)
    return result | dict(changed_decisions=float(np.mean(changed)) if len(decided) else None)


def with_mean(members: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Members' scores beside the mean that was evaluated, of the patients of ``table``."""
    of_patients = table[['score', 'threshold']].rename(columns=dict(score='mean'))
    return members.merge(of_patients, left_on='patient_id', right_index=True)
