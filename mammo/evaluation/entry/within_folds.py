"""ROC AUC of a cross-validation: the mean of the folds, each judged among the patients of its own models.

rows per patient and outer fold: score, label, fold -> estimate
"""

import numpy as np
import pandas as pd
from scipy import stats

from mammo.evaluation.estimates import Estimate, UndefinedError, defined, estimate
from mammo.evaluation.statistics import placements

METHOD = 'mean over outer folds, influence curve'


@defined
def within_fold_auc(rows: pd.DataFrame) -> Estimate:
    """Cross-validated AUC; LeDell, Petersen & van der Laan 2015, Electron. J. Stat. 9:1583.

    Of repeated cross-validation, a patient's influences are added up over her folds before they are squared,
    as her results are not independent. Folds that lack a class are left out, and counted.

    NOTE[DIFF]: theirs (R cvAUC) covers 88 % with 30 events in five folds, as each fold has a mean of its
    own: the variance has the degrees of freedom that this leaves, and the interval is of Student's t.
    """
    parts = [part for _, part in rows.groupby('fold') if part.label.nunique() == 2]
    if len(parts) < 2:
        raise UndefinedError('fewer than two outer folds have patients of both classes')
    counted = pd.concat(parts)
    value = float(np.mean([_fold(part)[0] for part in parts]))
    more = dict(n_folds=len(parts), n_folds_without_both_classes=rows.fold.nunique() - len(parts))
    n_per_repeat = len(parts) / (len(counted) / counted.index.nunique())
    by_class = counted.groupby(level=0).label.first().value_counts()
    free = by_class - n_per_repeat  # degrees of freedom of the events, and of the others
    if free.min() < 1:
        reason = 'no interval: no more events, or patients without, than folds'
        return estimate(value, None, None, METHOD, reason=reason, **more)
    error = _standard_error(parts, (by_class / free) ** 0.5)
    half = float(stats.t.ppf(0.975, free.min())) * error
    if not half:
        return estimate(
            value, None, None, METHOD, reason='no interval: perfect or equal in every fold', **more
        )
    return estimate(value, max(value - half, 0), min(value + half, 1), METHOD, **more)


def _standard_error(parts: list[pd.DataFrame], correction: pd.Series) -> float:
    """Of the mean over folds, from every patient's influence; ``correction`` by class, 1 for LeDell's."""
    counted = pd.concat(parts)
    rate, n_patients = counted.label.mean(), counted.index.nunique()
    scale = pd.Series({1.0: 1 / rate, 0.0: 1 / (1 - rate)}) * correction
    # R cvAUC: the mean over folds of the mean square in each, over the number of patients
    shares = [
        _fold(part)[1] * part.label.map(scale) / np.sqrt(len(part) * n_patients * len(parts))
        for part in parts
    ]
    by_patient = pd.concat(shares).groupby(level=0).sum() / np.sqrt(len(counted) / n_patients)
    return float(np.sqrt(np.sum(by_patient**2)))


def _fold(part: pd.DataFrame) -> tuple[float, pd.Series]:
    """AUC of one fold, and how far each of its patients is from it."""
    labels = part.label.to_numpy(float)
    of_pos, of_neg = placements(part.score.to_numpy(float)[None], labels)
    auc = float(of_pos.mean())
    distance = np.empty(len(part))
    distance[labels == 1], distance[labels == 0] = of_pos[0] - auc, of_neg[0] - auc
    return auc, pd.Series(distance, part.index)
