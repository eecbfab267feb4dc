"""Fusion stage: probability of a positive label from clinical variables and mammogram features (SPEC 7).

{split}_x_preope.npy, {split}_feat_5.npy, {split}_y.npy, {split}_fortnr.npy -> checkpoint, predictions, stats
"""

import argparse
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn

from mammo.records import fusion_set
from mammo.records.files import replacing, write_hashed, write_json
from mammo.records.fusion_set import BLOCKS, FusionError
from mammo.records.pickles import CheckpointError, load_tensors

FORMAT_VERSION = 1


class MLP(nn.Module):
    """Linear(d, 128), ReLU, dropout 0.2, Linear(128, 1), for ``members`` independent networks at once.

    Shape: (B, in_dims), or (M, B, in_dims) with a batch per member -> logits (M, B).
    Member m draws from ``rngs[m]`` only, so it does not depend on how many members there are.

    Example:
        >>> MLP(in_dims=3, members=2)(torch.zeros(4, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(self, *, in_dims: int, hidden_dims: int = 128, dropout: float = 0.2, members: int = 1,
                 seed: int = 0) -> None:  # fmt: skip
        super().__init__()
        self.dropout = dropout
        self.rngs = [torch.Generator().manual_seed(seed + m) for m in range(members)]
        self.weight1 = self._uniform(in_dims, in_dims, hidden_dims)
        self.bias1 = self._uniform(in_dims, 1, hidden_dims)
        self.weight2 = self._uniform(hidden_dims, hidden_dims, 1)
        self.bias2 = self._uniform(hidden_dims, 1, 1)

    def _uniform(self, fan_in: int, *shape: int) -> nn.Parameter:
        """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as in nn.Linear -> (M, *shape)."""
        draws = torch.stack([torch.rand(shape, generator=g) for g in self.rngs])
        return nn.Parameter((draws * 2 - 1) / fan_in**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d) or (M, B, d) -> logits (M, B)."""
        x = x.expand(len(self.rngs), *x.shape[-2:])
        hidden = torch.baddbmm(self.bias1, x, self.weight1).relu()  # (M, B, H)
        if self.training and self.dropout:
            keep = torch.empty(hidden.shape)
            for row, generator in zip(keep, self.rngs, strict=True):
                row.uniform_(generator=generator)
            hidden = hidden * keep.ge_(self.dropout).div_(1 - self.dropout).to(x.device)
        return torch.baddbmm(self.bias2, hidden, self.weight2).squeeze(-1)


def fit(x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray, *, model: str = 'mlp',
        seed: int = 0, **options: Any) -> dict[str, Any]:  # fmt: skip
    """Fit ``model`` ('mlp' or 'logistic') -> checkpoint of plain numbers and tensors, for ``predict``.

    x (n, d) and x_val without NaN; y (n,) and y_val hold 0 and 1. ``options`` of the MLP: members (seeds
    seed, seed + 1, ... trained as one batched model), hidden_dims, dropout, batch_size, max_epoch, lr,
    weight_decay, patience, device. The logistic model has the L2 penalty C = 1 and does not use x_val.
    Columns are scaled to mean 0 and deviation 1 over x; a column that is constant there is ignored.
    """
    for name, matrix, label in (('train', x, y), ('val', x_val, y_val)):
        fusion_set.check_data(name, matrix, label)
    x64 = np.asarray(x, np.float64)
    scale = np.divide(1, x64.std(axis=0), out=np.zeros(x64.shape[1]), where=np.ptp(x64, axis=0) > 0)
    checkpoint = dict(format_version=FORMAT_VERSION, model=model, seed=seed, options=options)
    checkpoint |= dict(mean=torch.from_numpy(x64.mean(axis=0)), scale=torch.from_numpy(scale))
    solver = dict(mlp=_fit_mlp, logistic=_fit_logistic)[model]
    arrays = (_scaled(checkpoint, x), y, _scaled(checkpoint, x_val), y_val)
    state, history = solver(*(torch.as_tensor(a, dtype=torch.float32) for a in arrays), seed=seed, **options)
    return checkpoint | dict(state_dict=state, history=history)


def predict(checkpoint: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Matrix (n, d) -> logits (n,) float64; of several members: the logit of their mean prob (SPEC 8)."""
    fusion_set.check_finite('x', x)
    if x.shape[1] != len(checkpoint['mean']):
        raise FusionError(f'x has {x.shape[1]} columns, the checkpoint expects {len(checkpoint["mean"])}')
    scaled, state = torch.from_numpy(_scaled(checkpoint, x)), checkpoint['state_dict']
    if checkpoint['model'] == 'logistic':
        return (scaled @ state['weight'] + state['bias']).numpy()
    members, in_dims, hidden_dims = state['weight1'].shape
    net = MLP(in_dims=in_dims, hidden_dims=hidden_dims, members=members).eval()
    net.load_state_dict(state)
    with torch.no_grad():
        logit = net(scaled.float()).double()  # (M, n)
    return (torch.logsumexp(F.logsigmoid(logit), 0) - torch.logsumexp(F.logsigmoid(-logit), 0)).numpy()


def _fit_logistic(x: Tensor, y: Tensor, *_: Any, **__: Any) -> tuple[dict[str, Tensor], list[dict]]:
    linear = LogisticRegression(C=1.0, max_iter=1000).fit(x.double().numpy(), y.numpy())
    return dict(weight=torch.from_numpy(linear.coef_[0]), bias=torch.from_numpy(linear.intercept_)), []


def _fit_mlp(x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor, *, seed: int, members: int = 1,
             hidden_dims: int = 128, dropout: float = 0.2, batch_size: int = 32, max_epoch: int = 100,
             lr: float = 0.01, weight_decay: float = 1e-4, patience: int = 16,
             device: str = 'cpu') -> tuple[dict[str, Tensor], list[dict]]:  # fmt: skip
    """AdamW on binary cross-entropy; each member keeps its epoch of lowest validation loss."""
    x, y, x_val, y_val = (v.to(device) for v in (x, y, x_val, y_val))
    net = MLP(in_dims=x.shape[1], hidden_dims=hidden_dims, dropout=dropout, members=members, seed=seed)
    net.to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    best = {name: value.clone() for name, value in net.state_dict().items()}
    best_loss, waited, history = torch.full((members,), torch.inf), torch.zeros(members), []
    for epoch in range(max_epoch):
        train_loss = _train_epoch(net, optimizer, x, y, batch_size)
        val_loss = _bce(net.eval()(x_val), y_val).detach().cpu()  # (M,)
        if not val_loss.isfinite().all():
            raise FusionError(f'the validation loss is not finite in epoch {epoch + 1}; lower lr (now {lr})')
        history.append(dict(train_loss=train_loss.tolist(), val_loss=val_loss.tolist()))
        improved = (val_loss < best_loss) & (waited < patience)
        for name, value in net.state_dict().items():
            best[name][improved] = value[improved]
        best_loss, waited = torch.where(improved, val_loss, best_loss), torch.where(improved, 0, waited + 1)
        if (waited >= patience).all():
            break
    return {name: value.cpu() for name, value in best.items()}, history


def _train_epoch(net: MLP, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, batch_size: int) -> Tensor:
    """One pass, each member in its own order -> mean loss (M,)."""
    net.train()
    order = torch.stack([torch.randperm(len(x), generator=g) for g in net.rngs]).to(x.device)  # (M, n)
    total = torch.zeros(len(order), device=x.device)
    for x_batch, y_batch in zip(x[order].split(batch_size, 1), y[order].split(batch_size, 1), strict=True):
        loss = _bce(net(x_batch), y_batch)  # of (M, B, d), (M, B)
        net.zero_grad()
        loss.backward(torch.ones_like(loss))  # members share no parameter: each learns from its own loss
        optimizer.step()
        total += loss.detach() * y_batch.shape[1]
    return total / len(x)


def _bce(logit: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logit, y.expand_as(logit), reduction='none').mean(1)  # (M,)


def _scaled(checkpoint: dict[str, Any], x: np.ndarray) -> np.ndarray:
    return (x - checkpoint['mean'].numpy()) * checkpoint['scale'].numpy()


def load_checkpoint(path: str | Path, *, trust: bool = False) -> dict[str, Any]:
    """Read checkpoint.pth; nothing in it is executed, unless it is trusted."""
    checkpoint = load_tensors(path, trust=trust)
    version = checkpoint.get('format_version') if isinstance(checkpoint, dict) else None
    if version != FORMAT_VERSION:
        wrong = f'format_version is {version!r}, this release reads {FORMAT_VERSION}'
        raise FusionError(f'{path}: no checkpoint of mlp.py: {wrong}')
    return checkpoint


def train(data_root: Path, work_dir: Path, mode: str, **options: Any) -> None:
    """Fit on train, stop early on val; write checkpoint, curves and all about val and test."""
    splits = fusion_set.read_splits(data_root, mode)
    train, val = splits['train'], splits['val']
    checkpoint = fit(train.x, train.y, val.x, val.y, **options) | dict(inputs=train.inputs)
    write_results(work_dir, checkpoint, splits)
    _plot(work_dir / 'training.png', checkpoint)
    torch.save(checkpoint, buffer := io.BytesIO())
    write_hashed(work_dir / 'checkpoint.pth', buffer.getvalue())


def score(data_root: Path, work_dir: Path, mode: str, path: Path, name: str, trust: bool = False) -> None:
    """Apply a checkpoint to one split of another site; its labels may be unknown."""
    checkpoint = load_checkpoint(path, trust=trust)
    split = fusion_set.read_split(data_root, name, mode, label_needed=False)
    fusion_set.check_inputs(checkpoint['inputs'], split.inputs, f'{data_root} against {path}')
    write_results(work_dir, checkpoint, {name: split})


def write_results(work_dir: Path, checkpoint: dict[str, Any], splits: dict[str, fusion_set.Split]) -> None:
    """Write stats.json and, of all splits but train, p_{split}.npy (logits) and predictions_{split}.csv."""
    from mammo.records.predictions import (
        write_predictions,  # late: its package imports mmpretrain, some seconds
    )

    stats = {}
    for name, split in splits.items():
        logit = predict(checkpoint, split.x).astype(np.float32)
        stats[name] = _stats(split.y, logit)
        if name != 'train':
            write_predictions(work_dir / f'predictions_{name}.csv', split.records(logit))
            with replacing(work_dir / f'p_{name}.npy') as tmp:
                np.save(tmp, logit)
    plain = {k: checkpoint[k] for k in ('format_version', 'model', 'seed', 'options', 'inputs')}
    write_json(work_dir / 'stats.json', plain | dict(epochs=len(checkpoint['history']), splits=stats))
    logging.getLogger(__name__).info('%s: %s', work_dir, stats)


def _stats(y: np.ndarray, logit: np.ndarray) -> dict[str, Any]:
    """Counts, ROC AUC, PR AUC (average precision) and loss; the last three need both classes."""
    known = ~np.isnan(y)
    y, logit = y[known].astype(float), logit[known].astype(float)
    stats = dict.fromkeys(('roc_auc', 'pr_auc', 'loss')) | dict(n=len(y), events=int(y.sum()))
    stats['unlabelled'] = int((~known).sum())
    if len(np.unique(y)) == 2:
        loss = np.logaddexp(0, logit).mean() - (y * logit).mean()  # mean of -log p(y)
        stats |= dict(
            roc_auc=roc_auc_score(y, logit), pr_auc=average_precision_score(y, logit), loss=float(loss)
        )
    return stats


def _plot(path: Path, checkpoint: dict[str, Any]) -> None:
    """Loss curves of the MLP, mean over members; the coefficients of the logistic model."""
    history, columns = checkpoint['history'], checkpoint['inputs']['columns']
    figure = Figure(figsize=(7, 4 if history else max(4, 0.25 * len(columns))), layout='constrained')
    axes = figure.subplots()
    for key in ('train_loss', 'val_loss') if history else ():
        axes.plot(range(1, len(history) + 1), [np.mean(epoch[key]) for epoch in history], label=key)
        axes.set(xlabel='epoch', ylabel='binary cross-entropy')
        axes.legend()
    if not history:
        axes.barh(columns, checkpoint['state_dict']['weight'])
        axes.set(xlabel='log odds ratio per standard deviation')
    with replacing(path) as tmp:
        figure.savefig(tmp, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data-root', type=Path, required=True, help='folder of the fusion set')
    parser.add_argument('--work-dir', type=Path, required=True, help='folder for the results')
    parser.add_argument('--mode', choices=BLOCKS, required=True)
    parser.add_argument('--model', choices=['mlp', 'logistic'], default='mlp')
    parser.add_argument('--device', default='auto', help='auto is the CPU: batches of 32 leave a GPU idle')
    parser.add_argument('--test', type=Path, metavar='CHECKPOINT', help='score --split, train nothing')
    parser.add_argument('--split', default='test')
    parser.add_argument('--trust-checkpoint', action='store_true', help='run what its pickle holds')
    numbers = dict(members=1, batch_size=32, max_epoch=100, lr=0.01, weight_decay=1e-4, seed=0)
    for name, value in numbers.items():
        parser.add_argument(f'--{name.replace("_", "-")}', type=type(value), default=value, help=f'{value}')
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    options = {name: getattr(args, name) for name in (*numbers, 'model')}
    options['device'] = 'cpu' if args.device == 'auto' else args.device
    try:
        if args.test:
            score(args.data_root, args.work_dir, args.mode, args.test, args.split, args.trust_checkpoint)
        else:
            train(args.data_root, args.work_dir, args.mode, **options)
    except (FusionError, CheckpointError) as error:
        parser.exit(2, f'mlp.py: error: {error}\n')


if __name__ == '__main__':
    main()
