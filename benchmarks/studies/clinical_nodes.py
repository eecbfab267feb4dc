"""Positive lymph nodes from clinical variables of METABRIC (5-fold) or BCNB (its split): MLP, logistic.

published table -> AUCs: mean of the folds; pooled, with 95 % stratified bootstrap intervals

    python benchmarks/studies/clinical_nodes.py metabric brca_metabric_clinical_data.tsv
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

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

from mammo.fusion.clinical import ClinicalEncoder, check_table
from mammo.fusion.model import fit, predict
from mammo.fusion.schema import Schema, read_schema
from mammo.records.tables.reading import read_table

METRICS = {'ROC AUC': roc_auc_score, 'PR AUC': average_precision_score}
MODELS = {
    'logistic': dict(model='logistic'),
    'mlp': dict(model='mlp'),
    'mlp, 25 members': dict(model='mlp', members=25),
}


class Fold(NamedTuple):
    """Positions of the patients of each part."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


class Cohort(NamedTuple):
    """A published table: how to read label and folds, and a variable whose absence marks a block."""

    nodes: Callable[[pd.DataFrame], pd.Series]
    folds: Callable[[pd.DataFrame, np.ndarray, int], Iterator[Fold]]
    block: str


def five_folds(_table: pd.DataFrame, y: np.ndarray, seed: int) -> Iterator[Fold]:
    """Stratified; a fifth of the rest stops the MLP and trains nothing."""
    for rest, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(y, y):
        train, val = train_test_split(rest, test_size=0.2, stratify=y[rest], random_state=seed)
        yield Fold(train, val, test)


def official_split(table: pd.DataFrame, _y: np.ndarray, _seed: int) -> Iterator[Fold]:
    """One fold: the column ``split``."""
    yield Fold(*(np.flatnonzero(table['split'] == part) for part in ('train', 'val', 'test')))


COHORTS = {
    'metabric': Cohort(
        lambda table: pd.to_numeric(table['Lymph nodes examined positive'].replace('NA', '')),
        five_folds,
        'PR',
    ),
    'bcnb': Cohort(lambda table: pd.to_numeric(table['aln']), official_split, 'ER negative'),
}


def score_fold(values: pd.DataFrame, y: np.ndarray, fold: Fold, schema: Schema, seed: int) -> pd.DataFrame:
    """Probabilities of the test patients by model."""
    train, val, test = fold
    encoded = ClinicalEncoder(schema).fit(values.iloc[train]).transform(values)
    tables = {', no indicators': encoded}
    gaps = values.isna()
    if gaps.any(axis=None):
        tables = {'': np.column_stack([encoded, gaps]).astype(np.float32), **tables}
    else:
        tables = {'': encoded}
    x = tables['']
    own = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[train], y[train])
    probs = {"scikit-learn's own logistic": own.predict_proba(x[test])[:, 1]}
    for suffix, table in tables.items():
        for name, options in MODELS.items():
            checkpoint = fit(table[train], y[train], table[val], y[val], seed=seed, **options)
            probs[name + suffix] = expit(predict(checkpoint, table[test]))
    return pd.DataFrame(probs, index=test)


def summary(
    probs: pd.DataFrame, y: np.ndarray, fold: np.ndarray, gaps: np.ndarray, draws: list
) -> pd.DataFrame:
    """One row per model; ``gaps`` (n,) marks patients who miss a block of variables."""
    rows = {}
    for name, prob in probs.items():
        p = prob.to_numpy()
        by_fold = [roc_auc_score(y[fold == f], p[fold == f]) for f in np.unique(fold)]
        rows[name] = {'mean ROC AUC of folds': f'{np.mean(by_fold):.3f}'}
        for key, metric in METRICS.items():
            low, high = np.quantile([metric(y[i], p[i]) for i in draws], [0.025, 0.975])
            rows[name][f'pooled {key}'] = f'{metric(y, p):.3f} ({low:.3f} to {high:.3f})'
        for key, part in (('block known', ~gaps), ('block missing', gaps)) if gaps.any() else ():
            rows[name][f'ROC AUC, {key}'] = f'{roc_auc_score(y[part], p[part]):.3f} (n={part.sum()})'
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('cohort', choices=COHORTS)
    parser.add_argument('table', type=Path)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--bootstraps', type=int, default=1000)
    args = parser.parse_args()
    cohort, table = COHORTS[args.cohort], read_table(args.table)
    schema = read_schema(ROOT / f'configs/clinical/{args.cohort}.yaml')
    nodes = cohort.nodes(table)
    table, values = table[nodes.notna().to_numpy()], check_table(table, schema)[nodes.notna().to_numpy()]
    y = (nodes.dropna() > 0).astype(int).to_numpy()
    folds = list(cohort.folds(table.reset_index(drop=True), y, args.seed))
    probs = pd.concat([score_fold(values, y, fold, schema, args.seed) for fold in folds]).sort_index()
    number = np.concatenate([np.full(len(fold.test), i) for i, fold in enumerate(folds)])
    number = number[np.argsort(np.concatenate([fold.test for fold in folds]))]
    y, gaps = y[probs.index], values[cohort.block].isna().to_numpy()[probs.index]
    rng, classes = np.random.default_rng(args.seed), [np.flatnonzero(y == label) for label in (0, 1)]
    draws = [np.concatenate([rng.choice(c, len(c)) for c in classes]) for _ in range(args.bootstraps)]
    print(
        f'{len(y)} patients tested, {y.sum()} with positive nodes, seed {args.seed}, '
        f'{args.bootstraps} bootstraps'
    )
    print(summary(probs, y, number, gaps, draws).to_string())
    logistic, mlp = probs['logistic'].to_numpy(), probs['mlp'].to_numpy()
    paired = [roc_auc_score(y[i], mlp[i]) - roc_auc_score(y[i], logistic[i]) for i in draws]
    print(
        'ROC AUC of mlp minus logistic, paired: {:.3f} to {:.3f}'.format(*np.quantile(paired, [0.025, 0.975]))
    )


if __name__ == '__main__':
    main()
