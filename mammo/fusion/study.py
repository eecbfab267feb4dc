"""The fusion stage on files: fit on train, stop on val, score the rest; or score another site.

folder of a fusion set -> checkpoint.pth, p_{split}.npy, predictions_{split}.csv, stats.json, training.png
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from mammo.fusion.model import fit_splits, predict, read_model, write_model
from mammo.records.fusion_set import Split, check_inputs, read_split, read_splits
from mammo.records.predictions import write_predictions
from mammo.records.storage.files import replacing, write_json

RECORDED = ('format_version', 'model', 'seed', 'options', 'inputs', 'mask_share')


def train(data_root: Path, work_dir: Path, mode: str, **options: Any) -> None:
    """Fit on train, stop early on val; write checkpoint, curves and all about val and test."""
    splits = read_splits(data_root, mode)
    fitted = fit_splits(splits['train'], splits['val'], **options)
    write_results(work_dir, fitted, splits)
    _plot(work_dir / 'training.png', fitted)
    write_model(work_dir / 'checkpoint.pth', fitted)


def score(data_root: Path, work_dir: Path, mode: str, path: Path, name: str, trust: bool = False) -> None:
    """Apply a checkpoint to one split of another site; its labels may be unknown."""
    fitted = read_model(path, trust=trust)
    split = read_split(data_root, name, mode, label_needed=False)
    check_inputs(fitted['inputs'], split.inputs, f'{data_root} against {path}')
    write_results(work_dir, fitted, {name: split})


def write_results(work_dir: Path, fitted: dict[str, Any], splits: dict[str, Split]) -> None:
    """Write stats.json and, of all splits but train, p_{split}.npy (logits) and predictions_{split}.csv."""
    stats = {}
    for name, split in splits.items():
        logit = predict(fitted, split.x).astype(np.float32)
        stats[name] = _stats(split.y, logit)
        if name != 'train':
            write_predictions(work_dir / f'predictions_{name}.csv', split.records(logit))
            with replacing(work_dir / f'p_{name}.npy') as tmp:
                np.save(tmp, logit)
    plain = {k: fitted[k] for k in RECORDED if k in fitted}
    write_json(work_dir / 'stats.json', plain | dict(epochs=len(fitted['history']), splits=stats))
    aucs = ', '.join(f'{name} {_auc_text(stat)}' for name, stat in stats.items())
    logging.getLogger(__name__).info('%s: ROC AUC %s', work_dir.name, aucs)


def _stats(y: NDArray, logit: NDArray) -> dict[str, Any]:
    """Counts, ROC AUC, PR AUC (average precision) and loss; the last three need both classes."""
    labelled = ~np.isnan(y)
    y, logit = y[labelled].astype(float), logit[labelled].astype(float)
    stats = dict.fromkeys(('roc_auc', 'pr_auc', 'loss')) | dict(n=len(y), events=int(y.sum()))
    stats['unlabelled'] = int((~labelled).sum())
    if len(np.unique(y)) == 2:
        loss = np.logaddexp(0, logit).mean() - (y * logit).mean()  # mean of -log p(y)
        auc, pr = roc_auc_score(y, logit), average_precision_score(y, logit)
        stats |= dict(roc_auc=auc, pr_auc=pr, loss=float(loss))
    return stats


def _auc_text(stat: dict[str, Any]) -> str:
    auc = 'undefined' if stat['roc_auc'] is None else f'{stat["roc_auc"]:.3f}'
    return f'{auc} ({stat["n"]} patients, {stat["events"]} positive)'


def _plot(path: Path, fitted: dict[str, Any]) -> None:
    """Loss curves of the MLP, mean over members; the coefficients of the logistic model."""
    history, columns = fitted['history'], fitted['inputs']['columns']
    figure = Figure(figsize=(7, 4 if history else max(4, 0.25 * len(columns))), layout='constrained')
    axes = figure.subplots()
    for key in ('train_loss', 'val_loss') if history else ():
        axes.plot(range(1, len(history) + 1), [np.mean(epoch[key]) for epoch in history], label=key)
        axes.set(xlabel='epoch', ylabel='binary cross-entropy')
        axes.legend()
    if not history:
        axes.barh(columns, fitted['state_dict']['weight'])
        axes.set(xlabel='log odds ratio per standard deviation')
    with replacing(path) as tmp:
        figure.savefig(tmp, dpi=120)
