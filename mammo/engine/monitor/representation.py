"""Numbers that tell whether a network learned something, and whether its embedding collapsed.

embeddings (n, d), labels and groups (n,) -> one number each; nothing is drawn at random
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TEMPERATURE = 0.07  # of the votes; Wu et al. 2018 (arXiv 1805.01978), section 3.4
MOST_FOLDS = 5
ROWS_AT_ONCE = 1024


def embedding_std(x: NDArray) -> float:
    """Standard deviation of the l2-normalised embedding, mean over dimensions (n, d) -> [0, 1/sqrt(d)].

    0 if all images look the same to the network, 1/sqrt(d) if they fill the sphere evenly.

    Example:
        >>> x = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> round(embedding_std(x), 4)
        0.7071
    """
    # Chen & He 2021 (SimSiam, arXiv 2011.10566), section 4.1
    return float(_unit(x).std(axis=0).mean())


def effective_rank(x: NDArray) -> float:
    """How many directions the embedding uses (n, d) -> [1, min(n, d)], 0 for all zeros.

    Example:
        >>> round(effective_rank(np.diag([3.0, 3.0, 0.0])), 4)
        2.0
    """
    # Roy & Vetterli 2007, "The effective rank", definition 1: exp(entropy of the normalised singular values)
    singular = np.linalg.svd(np.asarray(x, dtype=np.float64), compute_uv=False)
    share = singular[singular > 0] / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum())) if len(share) else 0.0


def knn_predict(x: NDArray, labels: ArrayLike, groups: ArrayLike, *, k: int = 20) -> NDArray:
    """Class of each image by the weighted vote of its k nearest images of other groups. -> (n,)

    Cosine similarity, votes weighted by exp(similarity / 0.07): Wu et al. 2018, section 3.4.

    Raises:
        ValueError: there is but one group.
    """
    _, group = np.unique(groups, return_inverse=True)
    classes, index = np.unique(labels, return_inverse=True)
    if group.max() == 0:
        raise ValueError('a score across groups (patients) needs at least 2 of them, got 1')
    unit, votes = _unit(x), np.empty((len(index), len(classes)))
    for rows in np.array_split(np.arange(len(unit)), -(-len(unit) // ROWS_AT_ONCE)):
        cosine = unit[rows] @ unit.T  # (rows, n)
        cosine[group[rows, None] == group] = -np.inf
        nearest = np.argsort(-cosine, axis=1, kind='stable')[:, :k]
        near = np.take_along_axis(cosine, nearest, axis=1)
        weights = np.exp((near - near[:, :1]) / TEMPERATURE)  # 0 for the own group
        votes[rows] = np.einsum('nk,nkc->nc', weights, np.eye(len(classes))[index[nearest]])
    return classes[votes.argmax(axis=1)]


def knn_score(x: NDArray, labels: ArrayLike, groups: ArrayLike, *, k: int = 20) -> float:
    """Balanced accuracy of :func:`knn_predict`; 1 / number of classes is chance."""
    return float(balanced_accuracy_score(labels, knn_predict(x, labels, groups, k=k)))


def linear_probe_score(x: NDArray, labels: ArrayLike, groups: ArrayLike) -> float:
    """Balanced accuracy of a logistic regression on the standardised embedding, cross-validated by group.

    At most 5 folds, stratified by class; as many as groups in the rarest class if these are fewer.

    Raises:
        ValueError: there is but one class, or a class with but one group.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    n_groups = {label: len(np.unique(groups[labels == label])) for label in np.unique(labels).tolist()}
    n_folds = min(MOST_FOLDS, *n_groups.values())
    if len(n_groups) < 2 or n_folds < 2:
        raise ValueError(f'a linear probe needs 2 classes and 2 groups (patients) of each, got {n_groups}')
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    predicted = cross_val_predict(probe, x, labels, groups=groups, cv=StratifiedGroupKFold(n_folds))
    return float(balanced_accuracy_score(labels, predicted))


def _unit(x: NDArray) -> NDArray:
    x = np.asarray(x, dtype=np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float64).tiny)
