"""The evaluation of one task: each model on its patients, models against one another, ready for JSON.

dict(name -> Patients) of test and development, options -> report (see README, report.json)
"""

import itertools
import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from mammo.evaluation import clinical_utility, resampling, statistics
from mammo.evaluation.cohort import Patients, check_separate
from mammo.evaluation.model_entry import Options, binary_entry, regression_entry
from mammo.evaluation.statistics import UndefinedError
from mammo.records.predictions import PredictionError

FORMAT_VERSION = 1
MAX_ALL_PAIRS = 4  # with more models, each is compared with the first only
PERMUTED_SCORES = 2 * 10**7  # with many patients, fewer permutations (never fewer than 1,000)
LIBRARIES = ('numpy', 'scipy', 'scikit-learn', 'pandas', 'matplotlib')


def build_report(
    test: dict[str, Patients], development: dict[str, Patients], task: str, options: Options
) -> dict[str, Any]:
    """Evaluate and compare models; what the data do not define is null with a reason."""
    tables, tuning = ({name: _labelled(p) for name, p in part.items()} for part in (test, development))
    _check(tables, tuning, test, development)
    kind = _kind(pd.concat([*tables.values(), *tuning.values()]).label, options.kind, task)
    drawn = _bootstrap(tables, options) if kind == 'binary' else {}
    evaluate = binary_entry if kind == 'binary' else regression_entry
    models = {
        name: dict(
            **evaluate(table, drawn.get(name), tuning.get(name), options),
            flow=test[name].flow,
            sources=test[name].sources,
            development_sources=development[name].sources if name in development else [],
        )
        for name, table in tables.items()
    }
    pairs = list(itertools.combinations(tables, 2))
    pairs = pairs if len(tables) <= MAX_ALL_PAIRS else pairs[: len(tables) - 1]
    comparisons = [compare(a, b, tables, drawn, options) for a, b in pairs] if kind == 'binary' else []
    versions = dict(python=platform.python_version(), **{name: version(name) for name in LIBRARIES})
    settings = options._asdict() | dict(kind=kind, confidence_level=0.95)
    report = dict(format_version=FORMAT_VERSION, task=task, models=models, comparisons=comparisons)
    return report | dict(settings=settings, versions=versions)


def compare(
    a: str, b: str, tables: dict[str, pd.DataFrame], drawn: dict[str, resampling.Replicates], options: Options
) -> dict[str, Any]:
    """Two models on the patients that both have scored."""
    left, right = (tables[name] for name in (a, b))
    common = left.index.intersection(right.index, sort=True)
    alone = len(left) + len(right) - 2 * len(common)
    if alone and options.strict:
        odd = ', '.join(left.index.symmetric_difference(right.index)[:10])
        raise PredictionError(
            f'{a} and {b}: {alone} patients have only one of the two scores: {odd}; leave out --strict'
        )
    left, right = left.loc[common], right.loc[common]
    if (left.label != right.label).any():
        odd = ', '.join(common[left.label != right.label][:10])
        raise PredictionError(
            f'{a} and {b}: labels differ for patients {odd}; evaluate both against one truth'
        )
    result = dict(a=a, b=b, n_patients=len(common), n_patients_of_one_model_only=alone)
    scores, labels = np.stack([left.score, right.score]), left.label.to_numpy(float)
    try:
        statistics.require_classes(labels)
    except UndefinedError as reason:
        nothing = dict.fromkeys(('delta_roc_auc', 'ci_low', 'ci_high', 'p_delong', 'p_permutation'))
        return result | nothing | dict(delta_net_benefit=[], reason=f'on the common patients: {reason}')
    if alone or drawn[a].roc_auc.shape != drawn[b].roc_auc.shape:
        both = resampling.bootstrap(scores, labels, options.n_bootstrap, options.rng(), options.sensitivity)
        difference = both.roc_auc[0] - both.roc_auc[1]
    else:
        difference = drawn[a].roc_auc - drawn[b].roc_auc
    low, high = resampling.percentile_interval(difference)
    n_permutations = min(options.n_bootstrap, max(1000, PERMUTED_SCORES // len(labels)))
    aucs = statistics.placements(scores, labels)[0].mean(axis=1)
    return result | dict(
        delta_roc_auc=float(aucs[0] - aucs[1]),
        ci_low=low,
        ci_high=high,
        method='paired stratified bootstrap, percentile',
        p_delong=statistics.delong_test(scores[0], scores[1], labels),
        p_permutation=resampling.permutation_test(
            scores[0], scores[1], labels, n_permutations, options.rng()
        ),
        n_permutations=n_permutations,
        delta_net_benefit=clinical_utility.delta_net_benefit(scores[0], scores[1], labels),
    )


def _labelled(patients: Patients) -> pd.DataFrame:
    """In the order of ids: the same patients give the same draws, whatever the order of the files."""
    return patients.table[patients.table.label.notna()].sort_index(kind='stable')


def _check(tables: dict, tuning: dict, test: dict[str, Patients], development: dict[str, Patients]) -> None:
    unknown = sorted(set(development) - set(test))
    if unknown:
        raise PredictionError(f'--dev {unknown[0]}: no --pred has this name; names are {", ".join(test)}')
    for name, patients in development.items():
        check_separate(patients.table, test[name].table, name)
    for name, table in (*tables.items(), *tuning.items()):
        if table.empty:
            raise PredictionError(
                f'{name}: no patient has a label and a usable image; the flow is {test[name].flow}'
            )


def _kind(labels: pd.Series, kind: str, task: str) -> str:
    odd = labels[~labels.isin([0, 1])]
    if kind == 'binary' and len(odd):
        raise PredictionError(
            f'task {task}: label {odd.iloc[0]} of {odd.index[0]} is neither 0 nor 1; check --kind'
        )
    return kind if kind != 'auto' else 'regression' if len(odd) else 'binary'


def _bootstrap(tables: dict[str, pd.DataFrame], options: Options) -> dict[str, resampling.Replicates]:
    """Models with the same patients and labels share their draws; none for a model without two classes."""
    groups: dict[tuple, list[str]] = {}
    for name, table in tables.items():
        groups.setdefault((tuple(table.index), tuple(table.label)), []).append(name)
    drawn: dict[str, resampling.Replicates] = {}
    for (_, labels), names in groups.items():
        if len(set(labels)) == 2:
            scores = np.stack([tables[name].score for name in names])
            both = resampling.bootstrap(
                scores, np.array(labels), options.n_bootstrap, options.rng(), options.sensitivity
            )
            drawn |= {
                name: resampling.Replicates(*(part[i] for part in both)) for i, name in enumerate(names)
            }
    return drawn
