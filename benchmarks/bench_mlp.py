"""Fits of the fusion MLP against scikit-learn's MLPClassifier of the same size, batch and epochs, one thread.

1000 patients, 20 columns -> CPU seconds of one fit and of an ensemble's fits
Command: OMP_NUM_THREADS=1 python benchmarks/bench_mlp.py
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import table
from mammo.fusion.model import fit

N_PATIENTS, N_COLUMNS, N_MEMBERS, EPOCHS = 1000, 20, 25, 100


def measure() -> list[table.Row]:
    """One fit and ``N_MEMBERS`` fits, all epochs without early stopping."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_PATIENTS, N_COLUMNS)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=N_PATIENTS) > 0).astype(int)
    data, options = (x, y, x[:200], y[:200]), dict(max_epoch=EPOCHS, patience=EPOCHS, batch_size=32)
    sklearn = MLPClassifier(
        (128,), batch_size=32, max_iter=EPOCHS, n_iter_no_change=EPOCHS, learning_rate_init=0.01
    )
    rows = []
    for members, repeats in ((1, 5), (N_MEMBERS, 2)):

        def stock(members: int = members) -> None:
            for _ in range(members):
                sklearn.fit(x, y)

        def ours(members: int = members) -> None:
            fit(*data, model='mlp', members=members, **options)

        peak = table.peak_mib(ours)  # in a process of its own, before autograd has threads in this one
        fit(*data, max_epoch=1)  # what torch does once per process
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter('ignore', ConvergenceWarning)  # a fixed number of epochs is the point
            pair = table.interleaved(stock, ours, repeats)
        rows.append(table.compared(f'fusion MLP, {members} of them', pair, 's', peak))
    return rows


if __name__ == '__main__':
    table.main(measure, __doc__)
