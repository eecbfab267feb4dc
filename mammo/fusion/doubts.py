"""What a look at the train patients makes doubtful, before a model is fitted.

encoded columns (n, d) by name, labels (n,) -> sentences
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mammo.errors import listed
from mammo.fusion.masking import FLAG

ALMOST_THE_LABEL = 0.98  # ROC AUC of a single column; of what is known before surgery none comes near
MIN_CLASS = 5  # patients of each class, below which a column separates them by chance


def doubts(columns: Sequence[str], x: NDArray, labels: NDArray) -> Iterator[str]:
    """Sentences about columns that hold the label, or nothing, and about too many of them.

    Args:
        columns: names of the clinical columns, and of the flags of missing inputs.
        x: (n, d) of the train patients.
        labels: (n,) of 0 and 1, NaN if unknown.
    """
    is_labelled = np.isin(labels, [0, 1])
    labels, values = labels[is_labelled], dict(zip(columns, x[is_labelled].T, strict=True))
    n_rare = int(min(np.sum(labels == 1), np.sum(labels == 0)))
    varied = {name: column for name, column in values.items() if len(set(column)) > 1}
    telling = [name for name, v in varied.items() if n_rare >= MIN_CLASS and _holds_label(v, labels)]
    constant = [name for name in values if name not in varied and not name.endswith(FLAG)]
    if telling:
        yield (
            f'{listed(telling)}: each alone tells the label of nearly all train patients. Is it known before '
            'surgery, and asked of all patients alike? Else it leaks the answer: leave it out'
        )
    if constant:
        yield f'{listed(constant)}: the same in all train patients; what another value means is not learned'
    if n_rare < len(varied):
        yield (
            f'{len(varied)} clinical columns for {n_rare} train patients of the rarer class: expect '
            'overfitting; declare fewer variables, see tools/sample_size.py'
        )


def _holds_label(values: NDArray, labels: NDArray) -> bool:
    area = roc_auc_score(labels, values)
    return max(area, 1 - area) >= ALMOST_THE_LABEL
