"""Development and test of one model are of different women.

Patients, Patients -> nothing, or an error that names who is in both
"""

import logging

import numpy as np
import pandas as pd

from mammo.errors import listed
from mammo.evaluation.cohort.reading import Patients
from mammo.leaks import Traces, merged, shared
from mammo.records.predictions import PredictionError

logger = logging.getLogger(__name__)


def check_separate(development: Patients, test: Patients, name: str) -> None:
    """Refuse patients and studies that are in development and test (within one outer fold, where there are).

    Image paths that both name are a warning, since predictions do not tell which folder they start from.

    Raises:
        PredictionError: some are.
    """
    by_fold = not ((development.table.fold == '').all() or (test.table.fold == '').all())
    keys = ['fold', 'patient'] if by_fold else ['patient']
    both = pd.merge(_whose(development.table)[keys], _whose(test.table)[keys]).drop_duplicates()
    if len(both):
        names = listed(' in fold '.join(row[::-1]) for row in both.itertuples(index=False))
        raise PredictionError(
            f'{name}: {len(both)} patients are in development and test: {names}; split by patient'
        )
    folds = sorted({*development.traces} & {*test.traces}) if by_fold else [None]
    for fold in folds:
        sides = dict(development=_traces(development, fold), test=_traces(test, fold))
        for line in shared(sides):
            if ' studies ' in line:
                raise PredictionError(f'{name}: {line}; a study is of one woman, give her one patient_id')
            logger.warning('%s: %s; if they are the same files, split again', name, line)


def _traces(patients: Patients, fold: str | None) -> Traces:
    return merged(patients.traces.values()) if fold is None else patients.traces[fold]


def _whose(table: pd.DataFrame) -> pd.DataFrame:
    """Fold and patient of each row, also of breasts."""
    patients = table.get('woman', table.index)
    return pd.DataFrame(dict(fold=table.fold.to_numpy(), patient=np.asarray(patients, str)))
