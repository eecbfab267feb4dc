"""The evaluation of one task: each model on its patients, models against one another, ready for JSON.

dict(name -> Patients) of test and development, options -> report (see docs/evaluation.md)
"""

import itertools
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mammo.evaluation import resampling
from mammo.evaluation.cohort.pooling import Model, make_model
from mammo.evaluation.cohort.reading import Patients
from mammo.evaluation.cohort.separation import check_separate
from mammo.evaluation.entry import centres
from mammo.evaluation.entry.model_entry import binary_entry, regression_entry
from mammo.evaluation.report.comparison import Drawn, compare
from mammo.evaluation.report.notices import notices
from mammo.evaluation.report.options import Options
from mammo.records.ids import check_look_alikes
from mammo.records.predictions import PredictionError
from mammo.records.tables.numerals import CODES, doubtful_codes
from mammo.records.versions import VERSIONS, installed

FORMAT_VERSION = VERSIONS['report']
MAX_ALL_PAIRS = 4  # with more models, each is compared with the first only
LIBRARIES = ('numpy', 'scipy', 'scikit-learn', 'pandas', 'matplotlib')
Named = dict[str, Patients]


def make_models(test: Named, development: Named, task: str, options: Options) -> tuple[dict[str, Model], str]:
    """Labelled patients of each model with their thresholds; binary or regression.

    Raises:
        PredictionError: names, patients or labels do not fit together.
    """
    tables, tuning = ({name: _labelled(p) for name, p in part.items()} for part in (test, development))
    _check(tables, tuning, test, development)
    tables = _with_columns(tables, (*options.subgroups, centres.COLUMN))
    kind = task_kind(test, development, task, options.kind)
    if kind == 'binary':
        for name, patients in test.items():
            _check_scale(name, patients.ranges | (development[name].ranges if name in development else {}))
    sensitivity = options.sensitivity if kind == 'binary' else None
    models = {
        name: make_model(table, tuning.get(name), sensitivity, options.confidence)
        for name, table in tables.items()
    }
    return models, kind


def build_report(test: Named, development: Named, task: str, options: Options) -> dict[str, Any]:
    """Evaluate and compare models; what the data do not define is null with a reason."""
    models, kind = make_models(test, development, task, options)
    everybody = {patient for p in (*test.values(), *development.values()) for patient in p.table.index}
    check_look_alikes(everybody, 'patients of the models')
    drawn = _bootstrap(models, options) if kind == 'binary' else {}
    evaluate = binary_entry if kind == 'binary' else regression_entry
    entries = {
        name: dict(
            **evaluate(model, drawn.get(name), options),
            flow=test[name].flow,
            sources=test[name].sources,
            development_sources=development[name].sources if name in development else [],
        )
        for name, model in models.items()
    }
    pairs = list(itertools.combinations(models, 2))
    pairs = pairs if len(models) <= MAX_ALL_PAIRS else pairs[: len(models) - 1]
    comparisons = [compare(a, b, models, drawn, options) for a, b in pairs] if kind == 'binary' else []
    versions = dict(python=platform.python_version()) | installed(*LIBRARIES)
    settings = options._asdict() | dict(kind=kind, confidence_level=0.95)
    report = dict(format_version=FORMAT_VERSION, task=task, models=entries, comparisons=comparisons)
    report |= dict(settings=settings, versions=versions)
    return report | dict(notices=notices(report))


def _with_columns(tables: dict[str, pd.DataFrame], columns: Sequence[str]) -> dict[str, pd.DataFrame]:
    """What one model's predictions tell of a patient holds for the others, too: a fusion's tell little."""
    for column in columns:
        sources = [table[column] for table in tables.values() if column in table]
        if sources:
            values = pd.concat(sources).groupby(level=0).first()
            tables = {
                name: table if column in table else table.assign(**{column: values.reindex(table.index)})
                for name, table in tables.items()
            }
    return tables


def _labelled(patients: Patients) -> pd.DataFrame:
    """In the order of ids: the same patients give the same draws, whatever the order of the files."""
    return patients.table[patients.table.label.notna()].sort_index(kind='stable')


def _check(tables: dict, tuning: dict, test: Named, development: Named) -> None:
    unknown = sorted(set(development) - set(test))
    if unknown:
        raise PredictionError(f'--dev {unknown[0]}: no --pred has this name; names are {", ".join(test)}')
    for name, patients in development.items():
        check_separate(patients, test[name], name)
    for name, table in (*tables.items(), *tuning.items()):
        if table.empty:
            raise PredictionError(
                f'{name}: no patient has a label and a usable image; the flow is {test[name].flow}'
            )


def task_kind(test: Named, development: Named, task: str, kind: str = 'auto') -> str:
    """Binary or regression, by the labels if ``kind`` is auto.

    Raises:
        PredictionError: a label of a binary task is neither 0 nor 1, or labels may be codes of classes.
    """
    labels = pd.concat([p.table.label for p in (*test.values(), *development.values())]).dropna()
    odd = labels[~labels.isin([0, 1])]
    if kind == 'binary' and len(odd):
        raise PredictionError(
            f'task {task}: label {odd.iloc[0]} of {odd.index[0]} is neither 0 nor 1; check --kind'
        )
    likely = labels.isin([0, 1, 2, *CODES]).all() or labels.between(0, 1).all()
    codes = doubtful_codes(labels) if likely else ''
    if kind == 'auto' and len(odd) and (codes or labels.nunique() < 3):
        doubt = codes or f'all values are {" or ".join(f"{value:g}" for value in sorted(set(labels)))}'
        raise PredictionError(
            f'task {task}: of the labels {doubt}; those of a binary task are 0 and 1, and empty if unknown; '
            'or say --kind regression'
        )
    return ('regression' if len(odd) else 'binary') if kind == 'auto' else kind


def _check_scale(name: str, ranges: dict[str, tuple[float, float]]) -> None:
    """Thresholds and means over members ask for one scale: all probs, or all something else."""
    is_prob = {file: low >= 0 and high <= 1 for file, (low, high) in ranges.items()}
    if len(set(is_prob.values())) == 2:
        places = [next(file for file in ranges if is_prob[file] == wanted) for wanted in (True, False)]
        texts = [f'{file} from {ranges[file][0]:g} to {ranges[file][1]:g}' for file in places]
        raise PredictionError(
            f'{name}: scores of {" and of ".join(texts)} are not on one scale; write probabilities of 0 to 1'
        )


def _bootstrap(models: dict[str, Model], options: Options) -> Drawn:
    """Models with the same patients and labels share their draws; none for a model without two classes."""
    groups: dict[tuple, list[str]] = {}
    for name, model in models.items():
        groups.setdefault((tuple(model.table.index), tuple(model.table.label)), []).append(name)
    drawn: Drawn = {}
    for (_, labels), names in groups.items():
        if len(set(labels)) == 2:
            scores = np.stack([models[name].table.score for name in names])
            both = resampling.bootstrap(
                scores, np.array(labels), options.n_bootstrap, options.rng(), options.sensitivity
            )
            drawn |= {
                name: resampling.Replicates(*(part[i] for part in both)) for i, name in enumerate(names)
            }
    return drawn
