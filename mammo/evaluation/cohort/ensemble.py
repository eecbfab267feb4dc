"""Ensembles: the mean of several models' predictions of the same images.

prediction records of M models -> prediction records
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mammo.records.predictions import PredictionError

NAMES = ('patient_id', 'exam_id', 'img_path')


def mean_records(members: Sequence[Sequence[dict]], kinds: Mapping[str, str]) -> list[dict]:
    """Mean per image (SPEC 8): of the prob of a binary task, of the value of a regression task.

    Args:
        members: records of each model, in any order.
        kinds: binary or regression, by task; a task without a kind is binary.

    Raises:
        PredictionError: the models have not scored the same images and tasks.
    """
    tables = [{tuple(record[name] for name in NAMES): record for record in records} for records in members]
    first = tables[0]
    for i, table in enumerate(tables):
        odd = sorted(map(str, first.keys() ^ table.keys()))
        if odd or len(table) != len(members[i]):
            raise PredictionError(
                f'member {i} of the ensemble: {len(odd)} images are not those of member 0, or there are '
                f'copies: {odd[:5]}; predict the same meta file with every model'
            )
    return [
        {**record, 'tasks': _mean_tasks([table[key]['tasks'] for table in tables], kinds, str(key))}
        for key, record in first.items()
    ]


def mean_logit(logits: Sequence[float], kind: str) -> float:
    """Raw outputs of M models -> that of their mean prediction: mean prob of a binary task, or mean value."""
    return logit_of_mean_prob(logits) if kind == 'binary' else float(np.mean(logits))


def logit_of_mean_prob(logits: Sequence[float]) -> float:
    """Logits of M models -> logit of the mean of their probs, without loss where these are near 0 or 1."""
    z = np.asarray(logits, np.float64)
    return float(np.logaddexp.reduce(-np.logaddexp(0, -z)) - np.logaddexp.reduce(-np.logaddexp(0, z)))


def _mean_tasks(members: Sequence[dict[str, dict]], kinds: Mapping[str, str], place: str) -> dict[str, dict]:
    if any(tasks.keys() != members[0].keys() for tasks in members):
        raise PredictionError(f'{place}: the models of the ensemble have different tasks; use one config')
    averaged = {}
    for task, values in members[0].items():
        logits = [tasks[task]['logit'] for tasks in members]
        logit = None if None in logits else mean_logit(logits, kinds.get(task, 'binary'))
        score = float(np.mean([tasks[task]['pred_score'] for tasks in members]))
        averaged[task] = dict(logit=logit, pred_score=score, gt_label=values['gt_label'])
    return averaged
