"""What a cross-validation reached on phantoms, beside the best that their images allow.

work dir of tools/cross_validate.py, truth.json of tools/make_phantom.py -> lines of a table
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.statistics import r2, roc_auc
from mammo.patients import POOLING


def table(cross_validation: Path, truth: Path) -> Iterator[str]:
    """A line per task and metric."""
    paths = sorted(cross_validation.glob('ensemble/mammograms/*/mean/test.json'))
    yield f'{"per patient, 95 % interval":<24}{"test":>26}{"best from images":>19}'
    for name, reachable in json.loads(truth.read_text())['best'].items():
        task, metric = name.split('_roc_auc')[0].split('_r2_score')[0], 'r2' if 'r2' in name else 'roc_auc'
        yield f'{name:<24}{score(paths, task, metric):>26}{reachable["image"]:>19.3f}'


def score(paths: Sequence[Path], task: str, metric: str) -> str:
    """A task's metric over labelled patients of all outer folds with its 95 % interval."""
    aggregate = POOLING['binary' if metric == 'roc_auc' else 'regression']
    patients = read_patients(paths, task, aggregate).table.dropna(subset='label')
    scores, labels = patients.score.to_numpy(), patients.label.to_numpy()
    estimate = roc_auc(scores, labels) if metric == 'roc_auc' else r2(scores, labels, 1000)
    return f'{estimate["value"]:6.3f} ({estimate["ci_low"]:6.3f} to {estimate["ci_high"]:6.3f})'
