"""ROC AUC of a cross-validation: the mean of the folds, each judged among the patients of its own models.

rows per patient and outer fold: score, label, fold -> estimate
"""

import numpy as np
import pandas as pd

from mammo.evaluation.estimates import Estimate, UndefinedError, Z, defined, estimate
from mammo.evaluation.statistics import placements

METHOD = 'mean over outer folds, influence curve'


@defined
def within_fold_auc(rows: pd.DataFrame) -> Estimate:
    """Cross-validated AUC; LeDell, Petersen & van der Laan 2015, Electron. J. Stat. 9:1583.

    Of repeated cross-validation, a patient's influences are added up over her folds before they are squared,
    as her results are not independent. Folds that lack a class are left out, and counted.
    """
    parts = [part for _, part in rows.groupby('fold') if part.label.nunique() == 2]
    if len(parts) < 2:
        raise UndefinedError('fewer than two outer folds have patients of both classes')
    counted = pd.concat(parts)
    event_rate, n_patients = counted.label.mean(), counted.index.nunique()
    results = [_fold(part, event_rate) for part in parts]
    # R cvAUC: the mean over folds of the mean square in each, over the number of patients
    shares = [influence / np.sqrt(len(influence) * n_patients * len(parts)) for _, influence in results]
    repeats = len(counted) / n_patients
    by_patient = pd.concat(shares).groupby(level=0).sum() / np.sqrt(repeats)
    half = Z * float(np.sqrt(np.sum(by_patient**2)))
    value = float(np.mean([auc for auc, _ in results]))
    more = dict(n_folds=len(parts), n_folds_without_both_classes=rows.fold.nunique() - len(parts))
    if not half:
        return estimate(
            value, None, None, METHOD, reason='no interval: perfect or equal in every fold', **more
        )
    return estimate(value, max(value - half, 0), min(value + half, 1), METHOD, **more)


def _fold(part: pd.DataFrame, event_rate: float) -> tuple[float, pd.Series]:
    """AUC of one fold, and the influence of each of its patients."""
    labels = part.label.to_numpy(float)
    of_pos, of_neg = placements(part.score.to_numpy(float)[None], labels)
    auc = float(of_pos.mean())
    influence = np.empty(len(part))
    influence[labels == 1] = (of_pos[0] - auc) / event_rate
    influence[labels == 0] = (of_neg[0] - auc) / (1 - event_rate)
    return auc, pd.Series(influence, part.index)
