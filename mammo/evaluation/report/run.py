"""One evaluation from files to files, for tools/evaluate.py and for a cross-validation.

Evaluation -> DIR/report.json, DIR/report.html, DIR/figures/, and the report
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from mammo.evaluation.cohort.reading import Patients, prediction_files, read_patients
from mammo.evaluation.entry.stability import read_members, stability
from mammo.evaluation.page.gallery import gallery
from mammo.evaluation.page.write import write_report
from mammo.evaluation.report.build import build_report, make_models, task_kind
from mammo.evaluation.report.options import FORM, Evaluation
from mammo.evaluation.units import in_words_of
from mammo.patients import POOLING
from mammo.records.predictions import PredictionError

logger = logging.getLogger(__name__)


def evaluate(evaluation: Evaluation) -> dict[str, Any]:
    """Read, evaluate, write -> what ``report.json`` holds.

    Raises:
        UserError: predictions, labels or options do not fit together.
    """
    options = evaluation.options
    if options.confidence and not evaluation.dev:
        raise PredictionError(
            '--confidence is that of a threshold chosen on development patients; give --dev'
        )
    evaluation, test, development = _read(evaluation)
    report = build_report(test, development, evaluation.task, options)
    report['settings'] |= evaluation.reading._asdict()
    report['notices'] = [in_words_of(evaluation.reading.unit, notice) for notice in report['notices']]
    for sentence in report['notices']:
        logger.warning('%s', sentence)
    models, _ = make_models(test, development, evaluation.task, options)
    members = {name: _members(name, evaluation) for name in models}
    for name, table in members.items():
        report['models'][name]['stability'] = None if table is None else stability(table, models[name].table)
    first = next(iter(models.values()))
    pictures = gallery(evaluation.gallery, first.table) if evaluation.gallery else []
    write_report(evaluation.out_dir, report, models, pictures, members)
    return report


def summary_lines(report: dict[str, Any]) -> Iterator[str]:
    """One line per model, for a terminal."""
    whom = f'{report["settings"]["unit"]}s'
    for name, model in report['models'].items():
        headline = 'roc_auc' if 'roc_auc' in model else 'r2'
        numbers = [model[headline][key] for key in ('value', 'ci_low', 'ci_high')]
        texts = ['null' if number is None else f'{number:.3f}' for number in numbers]
        yield f'{name:<14}{model["n_patients"]:>5} {whom}  {headline} {texts[0]} ({texts[1]} to {texts[2]})'


def _members(name: str, evaluation: Evaluation) -> pd.DataFrame | None:
    """Scores of the members of one model; None where they are not known one by one."""
    files = evaluation.members.get(name)
    if files is None:
        paths = dict(item.split('=', 1) for item in evaluation.pred)[name].split(',')
        files = [(fold, path) for path, fold in prediction_files(paths, 'test')]
    return read_members(files, evaluation.task, **evaluation.reading._asdict())


def _read(evaluation: Evaluation) -> tuple[Evaluation, dict[str, Patients], dict[str, Patients]]:
    """Test and development, and the evaluation with the aggregate that the kind of the task asks for."""
    asked = evaluation.reading.aggregate
    evaluation = _pooled(evaluation, asked or POOLING['binary'])
    test = _read_all(evaluation.pred, evaluation, 'test')
    development = _read_all(evaluation.dev, evaluation, 'val')
    usual = POOLING[task_kind(test, development, evaluation.task, evaluation.options.kind)]
    if asked is None and usual != evaluation.reading.aggregate:
        return _read(_pooled(evaluation, usual))
    return evaluation, test, development


def _pooled(evaluation: Evaluation, aggregate: str) -> Evaluation:
    return evaluation._replace(reading=evaluation.reading._replace(aggregate=aggregate))


def _read_all(named: Sequence[str], evaluation: Evaluation, part: str) -> dict[str, Patients]:
    """``['A=a.json', 'B=b.pkl,c.pkl']`` -> patients by name."""
    models: dict[str, Patients] = {}
    for item in named:
        name, _, paths = item.partition('=')
        if not name or not paths or name in models:
            raise PredictionError(f'{item!r}: expected {FORM}, each name once')
        reading = evaluation.reading._asdict()
        models[name] = read_patients(paths.split(','), evaluation.task, part=part, **reading)
    return models
