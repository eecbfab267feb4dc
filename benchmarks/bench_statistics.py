"""Bootstrap of ROC AUC: vectorised replicates against a loop over scikit-learn, in one run.

200 patients, 10,000 replicates -> CPU seconds of both; ours gives PR AUC and SLNB reduction besides
Command: python benchmarks/bench_statistics.py
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import limits, table
from mammo.evaluation.resampling import bootstrap

N_PATIENTS, N_BOOTSTRAP, N_STOCK = 200, 10_000, 1_000  # the stock loop is timed on a tenth


def measure() -> list[table.Row]:
    """Stock and ours on the same labels and scores."""
    rng = np.random.default_rng(0)
    labels = (rng.random(N_PATIENTS) < 0.25).astype(float)
    scores = rng.normal(labels, 1)
    strata = [np.flatnonzero(labels == k) for k in (0, 1)]

    def stock() -> None:
        for _ in range(N_STOCK):
            drawn = np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata])
            roc_auc_score(labels[drawn], scores[drawn])

    def ours() -> None:
        bootstrap(scores[None], labels, N_BOOTSTRAP, rng)

    peak = table.peak_mib(ours)
    pair = table.interleaved(stock, ours, repeats=3).times(N_BOOTSTRAP / N_STOCK, 1)
    stage = f'bootstrap, {N_BOOTSTRAP} replicates'
    weights = {limits.MEMORY: 2 * 4 * N_BOOTSTRAP * N_PATIENTS / 1e9}  # GB: int32, written and read once
    return [table.compared(stage, pair, 's', peak, needs=weights)]


if __name__ == '__main__':
    table.main(measure, __doc__)
