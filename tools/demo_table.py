"""The demo's result: each task's metric per patient beside the best that the phantoms allow.

val.json, test.json, truth.json -> a table
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from evaluation.predictions import read_patients
from evaluation.statistics import r2, roc_auc


def score(path: Path, task: str, metric: str) -> str:
    """A task's metric over labelled patients with its 95 % interval."""
    aggregate = 'max' if metric == 'roc_auc' else 'mean'
    patients = read_patients([path], task, aggregate).table.dropna(subset='label')
    scores, labels = patients.score.to_numpy(), patients.label.to_numpy()
    if metric == 'roc_auc':
        found = roc_auc(scores, labels)
    else:
        found = r2(scores, labels, 1000, np.random.default_rng(0))
    return f'{found["value"]:6.3f} ({found["ci_low"]:6.3f} to {found["ci_high"]:6.3f})'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--predictions', type=Path, required=True, help='folder with val.json and test.json')
    parser.add_argument('--truth', type=Path, required=True, help='truth.json of tools/make_phantom.py')
    args = parser.parse_args()
    best = json.loads(args.truth.read_text())['best']
    print(f'{"per patient, 95 % interval":<24}{"validation":>26}{"test":>26}{"best from images":>19}')
    for name, reachable in best.items():
        task, metric = name.split('_roc_auc')[0].split('_r2_score')[0], 'r2' if 'r2' in name else 'roc_auc'
        row = ''.join(
            f'{score(args.predictions / f"{split}.json", task, metric):>26}' for split in ('val', 'test')
        )
        print(f'{name:<24}{row}{reachable["image"]:>19.3f}')


if __name__ == '__main__':
    main()
