"""How regression targets are scaled: by the labels of the training part, and a hint where they are not.

model, training data -> model whose heads know mean and deviation of their labels
"""

from typing import Any

import numpy as np

from mammo.engine.checks.data import items_of
from mammo.engine.config.tasks import labels_of
from mammo.engine.log import warn
from models.heads.tasks import heads_of

LARGE = 5.0  # root mean square of labels from which their squared errors outweigh every other loss


def fit_scales(model: Any, dataset: Any) -> None:
    """Tell heads of standardised tasks the labels of the training part; warn of large labels of others."""
    scaled = {task: head for task, head in heads_of(model).items() if hasattr(head, 'fit_scale')}
    labels = labels_of(items_of(dataset)) if scaled else {}
    for task, head in scaled.items():
        values = labels.get(task, [])
        head.fit_scale(values)
        size = float(np.sqrt(np.mean(np.square(values)))) if values else 0.0
        if size > LARGE and not head.standardise:
            warn(
                f'task {task}: labels of the training part have mean {np.mean(values):.3g} and deviation '
                f'{np.std(values):.3g}, so that its squared errors outweigh all other losses; add '
                'standardise=True to the task, see configs/_base_/tasks.py'
            )
