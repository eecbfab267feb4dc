"""The demo's result: each task's metric per patient beside the best that the phantoms allow.

work dir of tools/cross_validate.py, truth.json of tools/make_phantom.py -> a table
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from mammo.evaluation.cohort import read_patients
from mammo.evaluation.statistics import r2, roc_auc


def score(paths: list[Path], task: str, metric: str) -> str:
    """A task's metric over labelled patients of all outer folds with its 95 % interval."""
    aggregate = 'max' if metric == 'roc_auc' else 'mean'
    patients = read_patients(paths, task, aggregate).table.dropna(subset='label')
    scores, labels = patients.score.to_numpy(), patients.label.to_numpy()
    found = roc_auc(scores, labels) if metric == 'roc_auc' else r2(scores, labels, 1000)
    return f'{found["value"]:6.3f} ({found["ci_low"]:6.3f} to {found["ci_high"]:6.3f})'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--cross-validation', type=Path, required=True, help='its --work-dir')
    parser.add_argument('--truth', type=Path, required=True)
    args = parser.parse_args()
    paths = sorted(args.cross_validation.glob('ensemble/mammograms/*/mean/test.json'))
    best = json.loads(args.truth.read_text())['best']
    print(f'{"per patient, 95 % interval":<24}{"test":>26}{"best from images":>19}')
    for name, reachable in best.items():
        task, metric = name.split('_roc_auc')[0].split('_r2_score')[0], 'r2' if 'r2' in name else 'roc_auc'
        print(f'{name:<24}{score(paths, task, metric):>26}{reachable["image"]:>19.3f}')


if __name__ == '__main__':
    main()
