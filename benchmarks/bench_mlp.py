"""Time the fusion MLP against scikit-learn's MLPClassifier of the same size, batch and epochs, one thread.

--patients, --columns -> table of seconds and ratios, also as JSON
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlp import fit
from preprocess.files import write_json

EPOCHS = 100


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Shortest CPU time of ``repeats`` runs: with one thread, what an idle machine takes by the clock."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def measure(patients: int, columns: int, members: int, repeats: int) -> dict[str, float]:
    """Seconds of one fit and of ``members`` fits, all epochs without early stopping, and the ratios."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(patients, columns)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=patients) > 0).astype(int)
    data, options = (x, y, x[:200], y[:200]), dict(max_epoch=EPOCHS, patience=EPOCHS, batch_size=32)
    sklearn = MLPClassifier(
        (128,), batch_size=32, max_iter=EPOCHS, n_iter_no_change=EPOCHS, learning_rate_init=0.01
    )
    fit(*data, max_epoch=1)  # what torch does once per process
    result = dict(
        mlp_s=seconds(lambda: fit(*data, **options), repeats),
        sklearn_s=seconds(lambda: sklearn.fit(x, y), repeats),
        mlp_members_s=seconds(lambda: fit(*data, members=members, **options), 1),
        sklearn_members_s=seconds(lambda: [sklearn.fit(x, y) for _ in range(members)], 1),
    )
    result['ratio_one'] = result['mlp_s'] / result['sklearn_s']
    result['ratio_members'] = result['mlp_members_s'] / result['sklearn_members_s']
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--patients', type=int, default=1000)
    parser.add_argument('--columns', type=int, default=20)
    parser.add_argument('--members', type=int, default=25)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/bench_mlp.json'))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter('ignore', ConvergenceWarning)  # a fixed number of epochs is the point
    with threadpool_limits(1):
        result = measure(args.patients, args.columns, args.members, args.repeats)
    write_json(args.out, vars(args) | dict(out=str(args.out)) | result)
    print('\n'.join(f'{name:>18} {value:8.3f}' for name, value in result.items()))


if __name__ == '__main__':
    main()
