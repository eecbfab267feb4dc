"""How often the 95 % intervals of the report hold the truth, by number of patients and of events.

nothing -> table of coverage (%), one row per interval, one column per cell; JSON with the counts
Command: OMP_NUM_THREADS=1 python benchmarks/studies/coverage.py --sets 1000 --out coverage.json
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.evaluation import statistics
from mammo.evaluation.clinical_use import calibration, clinical_utility
from mammo.evaluation.cohort.pooling import Model
from mammo.evaluation.entry.model_entry import _resampled
from mammo.evaluation.entry.within_folds import within_fold_auc
from mammo.evaluation.estimates import Estimate
from mammo.evaluation.report.build import _bootstrap
from mammo.evaluation.report.comparison import _resampled as _resampled_delta
from mammo.evaluation.report.comparison import compare
from mammo.evaluation.report.notices import MIN_EVENTS
from mammo.evaluation.report.options import Options
from mammo.evaluation.resampling import Replicates
from mammo.records.storage.files import write_json

PATIENTS, RATES = (60, 150, 400), (0.1, 0.2, 0.3, 0.4)
POPULATION, N_FOLDS = 300_000, 5
AT, RANGE = 0.2, (0.2, 0.25)  # threshold probs whose net benefit is judged
TARGET = 0.92


class Population(NamedTuple):
    """All patients of one event rate, whose values are the truth."""

    scores: NDArray  # (2, n): a calibrated model, and one that is too extreme and less sharp
    labels: NDArray  # (n,)
    counts: NDArray  # (2, n): skewed counts, and predictions of them


def population(rate: float, rng: np.random.Generator) -> Population:
    """AUC about 0.76 and 0.70, correlated as two models of the same images are."""
    x, noise = rng.normal(size=(2, POPULATION))
    risk = expit(logit(rate) - 0.55 + 1.05 * x)
    labels = (rng.random(POPULATION) < risk).astype(float)
    other = expit(logit(rate) - 0.4 + 1.2 * (x + 0.7 * noise))
    counts = np.floor(np.exp(1.2 * (0.5 * x + 0.75**0.5 * noise))).clip(0, 40)
    return Population(np.stack([risk, other]), labels, np.stack([counts, np.exp(0.6 * x + 0.3)]))


def estimates(part: Population, thresholds: NDArray, options: Options) -> Iterator[tuple[str, Estimate]]:
    """Every kind of interval that the report prints, of patients whose thresholds were chosen elsewhere."""
    n = len(part.labels)
    ids = pd.Index(np.arange(n).astype(str), name='patient_id')
    folds = (np.arange(n) % N_FOLDS).astype(str)
    tables = [
        pd.DataFrame(dict(score=scores, label=part.labels, fold=folds, threshold=threshold), ids)
        for scores, threshold in zip(part.scores, thresholds, strict=True)
    ]
    models = {
        name: Model(table, table, None, {'': threshold}, None)
        for name, table, threshold in zip('ab', tables, thresholds, strict=True)
    }
    drawn = _bootstrap(models, options)
    scores, labels = part.scores[0], part.labels
    auc = statistics.roc_auc(scores, labels)
    yield 'roc_auc', auc
    yield 'within-fold roc_auc', within_fold_auc(tables[0])
    _, pr_auc, reduction = _resampled(scores, labels, drawn.get('a'), options)
    yield 'pr_auc', pr_auc
    yield 'reduction_rate, threshold from test', reduction
    yield 'brier', calibration.brier(scores, labels)
    for function in (calibration.intercept, calibration.slope, calibration.observed_expected):
        yield f'calibration {function.__name__}', function(scores, labels)
    at = clinical_utility.at_threshold(scores, labels, thresholds[0])
    for key in ('reduction_rate', 'sensitivity', 'fnr', 'npv', 'specificity', 'ppv'):
        yield f'{key}, threshold given', at[key]
    (row,) = clinical_utility.net_benefit(scores, labels, np.array([AT]))
    yield f'net benefit at {AT}', dict(value=row['model'], ci_low=row['ci_low'], ci_high=row['ci_high'])
    for key, value in compare('a', 'b', models, drawn, options).items():
        if key.startswith('delta_') and isinstance(value, dict):
            yield key, value
    both = Replicates(*(np.stack(pair) for pair in zip(drawn['a'], drawn['b'], strict=True)))
    delta = _resampled_delta(part.scores, labels, both, 2, options)
    yield 'delta_reduction_rate, thresholds from test', delta
    yield 'pearson of counts', statistics.pearson(part.counts[1], part.counts[0], options.n_bootstrap)
    yield 'r2 of counts', statistics.r2(part.counts[1], part.counts[0], options.n_bootstrap)


def cell(n: int, rate: float, n_sets: int, n_bootstrap: int, seed: int) -> dict[str, dict[str, int]]:
    """Counts by interval: how many there were, and how many held the truth."""
    rng = np.random.default_rng([seed, n, int(100 * rate)])
    whole = population(rate, rng)
    options = Options(n_bootstrap=n_bootstrap, threshold_range=RANGE)
    thresholds = np.array([clinical_utility.slnb_threshold(s, whole.labels, 0.9) for s in whole.scores])
    thresholds[1] *= 1.1  # so that the models differ in sensitivity
    truth = {name: e['value'] for name, e in estimates(whole, thresholds, options._replace(n_bootstrap=2))}
    truth['within-fold roc_auc'] = truth['roc_auc']
    there, held = Counter[str](), Counter[str]()
    for _ in range(n_sets):
        rows = rng.integers(0, POPULATION, n)
        if whole.labels[rows].sum() < 2:
            continue  # no interval at all
        part = Population(whole.scores[:, rows], whole.labels[rows], whole.counts[:, rows])
        for name, result in estimates(part, thresholds, options):
            if result['ci_low'] is not None:
                there[name] += 1
                held[name] += result['ci_low'] <= truth[name] <= result['ci_high']
    return {name: dict(intervals=there[name], hold=held[name]) for name in truth}


def as_text(cells: dict[tuple[int, float], dict[str, dict[str, int]]], n_sets: int) -> str:
    """Markdown: per cent of intervals that hold the truth; in brackets where few events are expected."""
    heads = [f'{n}, {100 * rate:.0f} %' for n, rate in cells]
    lines = [f'| interval | {" | ".join(heads)} |', '|---' * (len(heads) + 1) + '|']
    for name in next(iter(cells.values())):
        shares = []
        for (n, rate), counts in cells.items():
            about = counts[name]
            share = f'{100 * about["hold"] / about["intervals"]:.1f}' if about['intervals'] else '-'
            share += '*' if about['intervals'] < n_sets else ''
            shares.append(f'({share})' if n * rate < MIN_EVENTS else share)
        lines.append(f'| {name} | {" | ".join(shares)} |')
    return '\n'.join(lines)


def main() -> None:
    """Simulate, print the table, name what is below the target where it should not be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sets', type=int, default=1000, help='data sets per cell (default: 1000)')
    parser.add_argument('--bootstrap', type=int, default=500, help='draws per interval (default: 500)')
    parser.add_argument('--patients', type=int, nargs='+', default=PATIENTS, help='default: 60 150 400')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/coverage.json'))
    args = parser.parse_args()
    start, cells = time.process_time(), {}
    for n, rate in itertools.product(args.patients, RATES):
        cells[n, rate] = cell(n, rate, args.sets, args.bootstrap, args.seed)
        print(f'{n} patients, {rate:.0%} events: {time.process_time() - start:.0f} s', file=sys.stderr)
    rows = [dict(patients=n, event_rate=rate, intervals=counts) for (n, rate), counts in cells.items()]
    write_json(args.out, dict(format_version=1, n_sets=args.sets, n_bootstrap=args.bootstrap, cells=rows))
    print(as_text(cells, args.sets))
    low = [
        f'{name} ({n} patients, {rate:.0%}: {about["hold"]} of {about["intervals"]})'
        for (n, rate), counts in cells.items()
        for name, about in counts.items()
        if n * rate >= MIN_EVENTS and about['hold'] < TARGET * about['intervals']
    ]
    print(f'below {TARGET:.0%} with {MIN_EVENTS} events or more: {"; ".join(low) or "none"}')


if __name__ == '__main__':
    main()
