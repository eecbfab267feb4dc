"""Mini-MIAS by woman: the network's predictions, and a logistic regression on its features with tissue class.

predictions, features.npz, meta files -> AUCs over the held-out women, 95 % intervals
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from mammo.evaluation.resampling import bootstrap, percentile_interval
from mammo.evaluation.statistics import r2, roc_auc
from mammo.fusion.model import fit, predict
from mammo.records.meta import read_meta
from mammo.records.predictions import read_predictions

TISSUES = ['F', 'G', 'D']  # fatty, fatty-glandular, dense-glandular


def by_woman(scores: np.ndarray, labels: np.ndarray, women: np.ndarray) -> pd.DataFrame:
    """Images (n,) -> one row per woman: highest score, and 1 if either breast is positive."""
    return pd.DataFrame(dict(score=scores, label=labels)).groupby(women).max()


def auc_row(name: str, table: pd.DataFrame) -> str:
    """ROC AUC with DeLong's interval, PR AUC with a bootstrap of women."""
    scores, labels = table.score.to_numpy(), table.label.to_numpy()
    roc = roc_auc(scores, labels)
    low, high = percentile_interval(
        bootstrap(scores[None], labels, 10_000, np.random.default_rng(0)).pr_auc[0]
    )
    return (
        f'{name:<34}{len(table):>4} women, {int(labels.sum()):>2} positive'
        f'   ROC AUC {roc["value"]:.3f} ({roc["ci_low"]:.3f} to {roc["ci_high"]:.3f})'
        f'   PR AUC {average_precision_score(labels, scores):.3f} ({low:.3f} to {high:.3f})'
    )


def network_rows(path: Path) -> list[str]:
    """The network's own predictions of the test set; quantities are per image, R2 over labelled images."""
    records = read_predictions(path)
    women = np.array([record['patient_id'] for record in records])
    rows = []
    for task in records[0]['tasks']:
        of_task = [record['tasks'][task] for record in records]
        scores, labels = (
            np.array([t[k] for t in of_task], float) for k in ('pred_score', 'gt_label')
        )  # None: NaN
        known = ~np.isnan(labels)
        if task in ('malignant', 'abnormal'):
            rows.append(auc_row(f'network, {task}', by_woman(scores[known], labels[known], women[known])))
        else:
            found = r2(scores[known], labels[known], 10_000)
            interval = f'({found["ci_low"]:.3f} to {found["ci_high"]:.3f})'
            rows.append(f'network, {task}: {known.sum()} images, R2 {found["value"]:.3f} {interval}')
    return rows


def feature_rows(features: Path, data_root: Path) -> list[str]:
    """Logistic regressions on the network's outputs, on tissue class, and on both; fitted on train."""
    meta = pd.concat(
        pd.DataFrame(read_meta(data_root / f'{split}.json')['data_list']).assign(split=split)
        for split in ('train', 'val', 'test')
    ).set_index('img_path')
    with np.load(features, allow_pickle=False) as file:
        meta, outputs = meta.loc[file['image_id']], file['image_x']
    tissue = (meta.tissue.to_numpy()[:, None] == TISSUES).astype(np.float32)
    y = np.array([label['malignant'] for label in meta.gt_label], np.float32)
    train, val, test = (meta.split.to_numpy() == split for split in ('train', 'val', 'test'))
    inputs = {'image features': outputs, 'tissue class': tissue, 'both': np.hstack([outputs, tissue])}
    rows = []
    for name, x in inputs.items():
        model = fit(x[train], y[train], x[val], y[val], model='logistic')
        table = by_woman(predict(model, x[test]), y[test], meta.patient_id[test].to_numpy())
        rows.append(auc_row(f'logistic, malignant, {name}', table))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--predictions', type=Path, required=True, help='of the test set, by tools/test.py')
    parser.add_argument(
        '--features', type=Path, required=True, help='of all splits, by tools/extract_features.py'
    )
    parser.add_argument('--data-root', type=Path, required=True, help='folder of the converter')
    args = parser.parse_args()
    print('\n'.join([*network_rows(args.predictions), *feature_rows(args.features, args.data_root)]))


if __name__ == '__main__':
    main()
