"""Positive lymph nodes from clinical variables on METABRIC: MLP and logistic regression, 5-fold.

brca_metabric_clinical_data.tsv -> AUCs: mean of the folds; pooled, with 95 % stratified bootstrap intervals
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from mammo.fusion.clinical import ClinicalEncoder, check_table, read_schema
from mammo.fusion.model import fit, predict
from mammo.records.tables.reading import read_table

SCHEMA = read_schema(ROOT / 'configs/clinical/metabric.yaml')
METRICS = {'ROC AUC': roc_auc_score, 'PR AUC': average_precision_score}
MODELS = {
    'logistic': dict(model='logistic'),
    'mlp': dict(model='mlp'),
    'mlp, 25 members': dict(model='mlp', members=25),
}


def score_fold(
    values: pd.DataFrame, y: np.ndarray, rest: np.ndarray, test: np.ndarray, seed: int
) -> pd.DataFrame:
    """Probabilities of the test patients by model; a fifth of the rest stops the MLP and trains nothing."""
    train, val = train_test_split(rest, test_size=0.2, stratify=y[rest], random_state=seed)
    encoded = ClinicalEncoder(SCHEMA).fit(values.iloc[train]).transform(values)
    x = np.column_stack([encoded, values.isna()]).astype(np.float32)
    own = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[train], y[train])
    probs = {"scikit-learn's own logistic": own.predict_proba(x[test])[:, 1]}
    for suffix, table in (('', x), (', no indicators', encoded)):
        for name, options in MODELS.items():
            checkpoint = fit(table[train], y[train], table[val], y[val], seed=seed, **options)
            probs[name + suffix] = expit(predict(checkpoint, table[test]))
    return pd.DataFrame(probs, index=test)


def summary(
    probs: pd.DataFrame, y: np.ndarray, fold: np.ndarray, gaps: np.ndarray, draws: list
) -> pd.DataFrame:
    """One row per model; ``gaps`` (n,) marks patients who miss the block PR, HER2, menopause."""
    rows = {}
    for name, prob in probs.items():
        p = prob.to_numpy()
        by_fold = [roc_auc_score(y[fold == f], p[fold == f]) for f in np.unique(fold)]
        rows[name] = {'mean ROC AUC of folds': f'{np.mean(by_fold):.3f}'}
        for key, metric in METRICS.items():
            low, high = np.quantile([metric(y[i], p[i]) for i in draws], [0.025, 0.975])
            rows[name][f'pooled {key}'] = f'{metric(y, p):.3f} ({low:.3f} to {high:.3f})'
        for key, part in (('block known', ~gaps), ('block missing', gaps)):
            rows[name][f'ROC AUC, {key}'] = f'{roc_auc_score(y[part], p[part]):.3f} (n={part.sum()})'
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--table', required=True)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--bootstraps', type=int, default=1000)
    args = parser.parse_args()
    table = read_table(args.table)
    nodes = pd.to_numeric(table['Lymph nodes examined positive'].replace('NA', ''))
    values = check_table(table, SCHEMA)[nodes.notna().to_numpy()]
    y = (nodes.dropna() > 0).astype(int).to_numpy()
    folds = list(StratifiedKFold(5, shuffle=True, random_state=args.seed).split(values, y))
    probs = pd.concat([score_fold(values, y, rest, test, args.seed) for rest, test in folds]).sort_index()
    fold = np.zeros(len(y), int)
    for number, (_, test) in enumerate(folds):
        fold[test] = number
    rng, classes = np.random.default_rng(args.seed), [np.flatnonzero(y == label) for label in (0, 1)]
    draws = [np.concatenate([rng.choice(c, len(c)) for c in classes]) for _ in range(args.bootstraps)]
    print(f'{len(y)} patients, {y.sum()} with positive nodes, seed {args.seed}, {args.bootstraps} bootstraps')
    print(summary(probs, y, fold, values['PR'].isna().to_numpy(), draws).to_string())
    logistic, mlp = probs['logistic'].to_numpy(), probs['mlp'].to_numpy()
    paired = [roc_auc_score(y[i], mlp[i]) - roc_auc_score(y[i], logistic[i]) for i in draws]
    print(
        'ROC AUC of mlp minus logistic, paired: {:.3f} to {:.3f}'.format(*np.quantile(paired, [0.025, 0.975]))
    )


if __name__ == '__main__':
    main()
