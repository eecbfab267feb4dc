"""The patients of one model, each once, with the development threshold that is hers.

rows per patient and outer fold of test and development, sensitivity to keep -> Model
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.evaluation.clinical_use.clinical_utility import slnb_threshold
from mammo.evaluation.clinical_use.thresholds import promised_threshold
from mammo.evaluation.estimates import UndefinedError
from mammo.records.predictions import PredictionError


class Model(NamedTuple):
    """One model's labelled patients, sorted by id."""

    rows: pd.DataFrame  # as predicted: a patient has a row per repeat of a cross-validation
    table: pd.DataFrame  # a row per patient: score is the mean over repeats; threshold, NaN without one
    tuning: pd.DataFrame | None  # rows of development
    thresholds: dict[str, float]  # from development, by outer fold; '' if one serves all; empty: none
    reason: str | None  # why development data gave no threshold
    promises: dict[str, dict[str, Any]] | None = None  # of the true sensitivity, by outer fold

    @property
    def is_cross_validated(self) -> bool:
        """Whether the scores come from several models, each on the patients of an outer fold."""
        return self.rows.fold.nunique() > 1

    @property
    def n_repeats(self) -> int:
        """How often each patient was tested."""
        return int(self.rows.groupby(level=0).size().max())


def arrays(table: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Patients -> scores (n,), labels (n,)."""
    return table.score.to_numpy(float), table.label.to_numpy(float)


def pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per patient; scores are averaged over repeats."""
    if rows.index.is_unique:
        return rows
    patients = rows.groupby(level=0, sort=True)
    return patients.first().assign(score=patients.score.mean())[list(rows.columns)]


def by_fold(test: pd.DataFrame, tuning: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Development rows of each outer fold, which has models of its own; of all as '' where one model serves.

    Raises:
        PredictionError: an outer fold of the test has no development rows.
    """
    if (test.fold == '').all() or (tuning.fold == '').all():
        return {'': pooled(tuning)}
    parts = {str(fold): part for fold, part in tuning.groupby('fold')}
    missing = sorted(set(test.fold) - set(parts))
    if missing:
        raise PredictionError(f'outer fold {missing[0]} has test but no development predictions; give both')
    return parts


def make_model(
    test: pd.DataFrame,
    tuning: pd.DataFrame | None,
    sensitivity: float | None,
    confidence: float | None = None,
) -> Model:
    """Choose the thresholds on development, by outer fold, and pool the patients of the test.

    Args:
        test, tuning: index patient_id; columns score, label, fold and others.
        sensitivity: that the thresholds keep; None for a regression task, which has no threshold.
        confidence: that the true sensitivity is kept; None: that of the development patients is.
    """
    thresholds: dict[str, float] = {}
    promises: dict[str, dict[str, Any]] = {}
    reason = None
    if tuning is not None and sensitivity is not None:
        try:
            for fold, part in by_fold(test, tuning).items():
                thresholds[fold], promises[fold] = _threshold(part, sensitivity, confidence)
        except UndefinedError as error:
            thresholds, reason = {}, str(error)
    folds = pd.Series('', test.index) if '' in thresholds else test.fold
    threshold = folds.map(thresholds).astype(float).groupby(level=0).mean()
    table = pooled(test)
    table = table.assign(threshold=threshold.reindex(table.index) if thresholds else np.nan)
    return Model(test, table, tuning, thresholds, reason, promises if confidence else None)


def _threshold(
    part: pd.DataFrame, sensitivity: float, confidence: float | None
) -> tuple[float, dict[str, Any]]:
    if confidence is None:
        return slnb_threshold(*arrays(part), sensitivity), {}
    promise = promised_threshold(*arrays(part), sensitivity, confidence)
    if promise['threshold'] is None:
        raise UndefinedError(promise['reason'])
    return promise['threshold'], promise
