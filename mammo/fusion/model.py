"""Fusion models: probability of a positive label from a table of clinical variables and features (SPEC 7).

x (n, d), y (n,) -> fitted model of plain numbers and arrays; fitted model, x -> logits (n,); checkpoint.pth
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from mammo.records import fusion_set
from mammo.records.fusion_set import FusionError, Split
from mammo.records.storage.files import write_hashed
from mammo.records.storage.pickles import load_tensors
from mammo.records.versions import VERSIONS, version_problem

MODELS = ('mlp', 'logistic')
N_COPIES = 10  # of a table of which each hides other inputs
Redraw = Callable[[np.random.Generator], NDArray]  # the table of one epoch or draw (n, d)


def fit_splits(
    train: Split, val: Split, *, mask_share: float | None = None, **options: Any
) -> dict[str, Any]:
    """Fit on patients as they are, and on such as lack inputs at random; see mammo.fusion.masking.

    Args:
        mask_share: of the patients who lack inputs; the default is masking.SHARE. The bare published files
            do not tell what an unknown input looks like: nothing is masked there.
    """
    from mammo.fusion.masking import SHARE, Unknowns  # late: masking reads schemas, which fit does not

    unknowns = Unknowns.of(train.inputs)
    share = SHARE if mask_share is None else mask_share
    arrays = (train.x, train.y, val.x, val.y)
    if unknowns is None or not share:
        return fit(*arrays, **options) | dict(inputs=train.inputs)
    redraw, of_val = (unknowns.redraw(s.x, s.x_unsided, share) for s in (train, val))
    rng = np.random.default_rng([options.get('seed', 0), 2])
    x_val = np.vstack([of_val(rng) for _ in range(N_COPIES)])
    model = fit(train.x, train.y, x_val, np.tile(val.y, N_COPIES), redraw=redraw, **options)
    return model | dict(inputs=train.inputs, mask_share=share)


def fit(
    x: NDArray, y: NDArray, x_val: NDArray, y_val: NDArray, *, model: str = 'mlp', seed: int = 0,
    redraw: Redraw | None = None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Fit ``model`` ('mlp' or 'logistic') -> plain numbers and arrays, for ``predict``.

    x (n, d) and x_val without NaN; y (n,) and y_val hold 0 and 1. ``options`` of the MLP: members (seeds
    seed, seed + 1, ... trained as one batched model), hidden_dims, dropout, batch_size, max_epoch, lr,
    weight_decay, patience, device. The logistic model has the L2 penalty C = 1 and does not use x_val.
    Columns are scaled to mean 0 and deviation 1 over x; a column that is constant there is ignored.
    ``redraw`` gives the table (n, d) as another draw sees it.
    """
    for name, matrix, label in (('train', x, y), ('val', x_val, y_val)):
        fusion_set.check_data(name, matrix, label)
    copies = [x] if redraw is None else _copies(redraw, seed)
    x64 = np.vstack(copies).astype(np.float64)
    scale = np.divide(1, x64.std(axis=0), out=np.zeros(x64.shape[1]), where=np.ptp(x64, axis=0) > 0)
    fitted = dict(format_version=VERSIONS['fusion_model'], model=model, seed=seed, options=options)
    fitted |= dict(mean=x64.mean(axis=0), scale=scale)
    if model == 'logistic':
        labels = np.tile(y, len(copies))
        return fitted | dict(
            state_dict=_fit_logistic(scaled(fitted, x64), labels, 1 / len(copies)), history=[]
        )
    from mammo.fusion.mlp import fit_mlp  # late: torch takes a second

    again = None if redraw is None else lambda rng: scaled(fitted, redraw(rng))
    arrays = (scaled(fitted, x), y, scaled(fitted, x_val), y_val)
    state, history = fit_mlp(*arrays, seed=seed, redraw=again, **options)
    return fitted | dict(state_dict=state, history=history)


def predict(fitted: dict[str, Any], x: NDArray) -> NDArray[np.float64]:
    """Matrix (n, d) -> logits (n,); of several members: the logit of their mean prob (SPEC 8)."""
    fusion_set.check_finite('x', x)
    if x.shape[1] != len(fitted['mean']):
        raise FusionError(f'x has {x.shape[1]} columns, the checkpoint expects {len(fitted["mean"])}')
    table, state = scaled(fitted, x), fitted['state_dict']
    if fitted['model'] == 'logistic':
        return table @ state['weight'] + state['bias']
    weight1, bias1, weight2, bias2 = (state[name] for name in ('weight1', 'bias1', 'weight2', 'bias2'))
    hidden = np.maximum(table.astype(np.float32) @ weight1 + bias1, 0)  # (M, n, H)
    logit = (hidden @ weight2 + bias2)[..., 0].astype(np.float64)  # (M, n)
    return np.logaddexp.reduce(log_expit(logit)) - np.logaddexp.reduce(log_expit(-logit))


def scaled(fitted: dict[str, Any], x: NDArray) -> NDArray[np.float64]:
    """(n, d) -> (n, d) in units of the table that the model was fitted on."""
    return (x - fitted['mean']) * fitted['scale']


def write_model(path: Path, fitted: dict[str, Any]) -> None:
    """Write checkpoint.pth and its hash: tensors and plain values, whole or not at all."""
    import torch  # late: numbers need none

    buffer = io.BytesIO()
    torch.save(_mapped(fitted, np.ndarray, torch.from_numpy), buffer)
    write_hashed(path, buffer.getvalue())


def read_model(path: str | Path, *, trust: bool = False) -> dict[str, Any]:
    """Read checkpoint.pth; nothing in it is executed, unless it is trusted."""
    import torch  # late: numbers need none

    content = load_tensors(path, trust=trust)
    version = content.get('format_version') if isinstance(content, dict) else None
    problem = version_problem('fusion_model', version)
    if problem:
        raise FusionError(f'{path}: no checkpoint of mlp.py: {problem}')
    return _mapped(content, torch.Tensor, lambda tensor: tensor.numpy())


def _fit_logistic(x: NDArray, y: NDArray, weight: float) -> dict[str, NDArray]:
    from sklearn.linear_model import LogisticRegression  # late: answers fit nothing

    linear = LogisticRegression(C=1.0, max_iter=1000).fit(x, y, np.full(len(y), weight))
    return dict(weight=linear.coef_[0], bias=linear.intercept_)


def _copies(redraw: Redraw, seed: int) -> list[NDArray]:
    rng = np.random.default_rng([seed, 0])
    return [redraw(rng) for _ in range(N_COPIES)]


def _mapped(value: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Nested dicts with every value of a kind replaced."""
    if isinstance(value, dict):
        return {key: _mapped(item, kind, function) for key, item in value.items()}
    return function(value) if isinstance(value, kind) else value
