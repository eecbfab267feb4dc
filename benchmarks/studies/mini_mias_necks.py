"""Which neck on a frozen backbone finds malignancies in mini-MIAS? Five outer folds; tissue class beside.

folds, a work dir of tools/cross_validate.py per neck -> ROC AUC by woman, paired differences, 95 % intervals

    python tools/dataset_converters/mias.py --src MINI_MIAS --out-dir data/mini_mias --seed 0
    python benchmarks/studies/mini_mias_necks.py --merge data/mini_mias
    python tools/split.py data/mini_mias/all.json --out-dir data/mini_mias/folds --outer 5 --inner 4 \
        --stratify malignant
    python tools/train.py configs/demo/barlowtwins_64px_patches.py --work-dir work_dirs/phantom_patches
    for neck in transformer DwiseresBlock gap; do
        python tools/cross_validate.py configs/mini_mias/frozen_448x256_$neck.py --cache 8 --label malignant \
            --patient-label max --folds data/mini_mias/folds --only 0/0,1/0,2/0,3/0,4/0 \
            --work-dir work_dirs/necks/$neck; done
    python benchmarks/studies/mini_mias_necks.py --folds data/mini_mias/folds --work-dirs work_dirs/necks/*

Labels are per film; a woman is what her worse breast is.
"""

import argparse
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd

from benchmarks.studies.mini_mias import TISSUES, auc_row, by_woman
from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.statistics import delta_auc
from mammo.fusion.model import fit, predict
from mammo.records.meta import read_meta, write_meta


def merge(folder: Path) -> None:
    """The three parts of tools/dataset_converters/mias.py in one meta file, for tools/split.py."""
    parts = [read_meta(folder / f'{split}.json') for split in ('train', 'val', 'test')]
    items = sorted((i for part in parts for i in part['data_list']), key=lambda item: item['img_path'])
    write_meta(folder / 'all.json', items, parts[0]['metainfo']['tasks'])


def network(work_dir: Path) -> pd.DataFrame:
    """What the five models say of the women that each has not seen."""
    folder = work_dir / 'ensemble' / 'mammograms'
    return read_patients([folder], 'malignant', patient_label='max').table


def tissue(fold: Path) -> pd.DataFrame:
    """What a logistic regression on the tissue class, fitted on train, says of the test women."""
    films = [read_meta(fold / f'{part}.json')['data_list'] for part in ('train', 'val', 'test')]
    x = [np.array([[film['tissue'] == name for name in TISSUES] for film in of], np.float32) for of in films]
    y = [np.array([film['gt_label']['malignant'] for film in of], np.float32) for of in films]
    scores = predict(fit(x[0], y[0], x[1], y[1], model='logistic'), x[2])
    return by_woman(scores, y[2], np.array([film['patient_id'] for film in films[2]]))


def difference_row(a: str, b: str, tables: dict[str, pd.DataFrame]) -> str:
    """Difference of two models on the same women by DeLong's method."""
    scores = [tables[name].score.loc[tables[a].index].to_numpy() for name in (a, b)]
    delta = delta_auc(*scores, tables[a].label.to_numpy())
    ends = f'{delta["ci_low"]:+.3f} to {delta["ci_high"]:+.3f}'
    return f'{f"{a} - {b}":<34}ROC AUC {delta["value"]:+.3f} ({ends}), DeLong p = {delta["p"]:.2f}'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--merge', type=Path, help='folder of the converter: write its all.json')
    parser.add_argument('--folds', type=Path, help='folder of tools/split.py')
    parser.add_argument('--work-dirs', type=Path, nargs='+', default=[], help='of the cross-validations')
    args = parser.parse_args()
    if args.merge:
        merge(args.merge)
        return
    tables = {work_dir.name: network(work_dir) for work_dir in args.work_dirs}
    tables['tissue class'] = pd.concat(tissue(fold) for fold in sorted(args.folds.glob('*/0')))
    rows = [auc_row(name, table) for name, table in tables.items()]
    rows += [difference_row(a, b, tables) for a, b in itertools.combinations(tables, 2)]
    print('\n'.join(rows))


if __name__ == '__main__':
    main()
