"""After the folds: ensembles, reports, and the record of the whole cross-validation.

DIR/<outer>/<inner>/ -> DIR/ensemble/, DIR/report/, DIR/cross_validate.json
"""

import contextlib
import itertools
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mammo.crossval.folds import Fold, read_part
from mammo.crossval.fusion import FUSION, fuse_all
from mammo.crossval.inputs import Request
from mammo.crossval.jobs.state import FINISHED, finished, read_json
from mammo.crossval.plan import Plan
from mammo.crossval.settings import RECORD
from mammo.errors import UserError
from mammo.evaluation.cohort.ensemble import mean_records
from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.report.options import make_evaluation
from mammo.evaluation.report.run import evaluate, summary_lines
from mammo.patients import POOLING
from mammo.records.predictions import PredictionError, read_predictions, write_predictions
from mammo.records.storage.files import write_json, write_text

logger = logging.getLogger(__name__)
IMAGES = 'mammograms'  # name of the model that sees images only
Members = dict[str, list[Fold]]  # finished folds by outer fold


def finish(plan: Plan, members: Members, request: Request) -> Path | None:
    """Ensembles and reports of the finished folds -> the main report, None if it could not be made."""
    fusion = plan.specs[plan.folds[0].name]['fusion']
    if fusion:
        fuse_all(plan.work_dir, members, fusion, {n: s for n, s in plan.external.items() if s['fusion']})
    for model, files in models(plan).items():
        _ensemble(plan, members, model, *files)
        _write_patients(plan, model, request)
    tasks = {task: kind for model in models(plan) for task, kind in _scored(plan, model).items()}
    done = {task: _report(plan, task, kind, request, members) for task, kind in tasks.items()}
    folds = {fold.name: read_json(plan.work_dir / fold.name / FINISHED) for fold in _all(members)}
    backbones = {facts['backbone_sha256'] for facts in folds.values()}
    facts = dict(
        tasks=plan.tasks, leak_check=plan.leaks, folds=folds, shared_backbone=len(backbones) == 1,
        patient_label=request.patient_label, unit=request.unit,
    )  # fmt: skip
    reports = {task: str(folder.relative_to(plan.work_dir)) for task, folder in done.items() if folder}
    write_json(plan.work_dir / RECORD, plan.record | facts | dict(reports=reports))
    return done.get(plan.record['settings']['label'])


def complete(plan: Plan) -> Members:
    """Finished folds, if every patient is tested by as many models as every other.

    Raises:
        PredictionError: some outer folds lack models that others have.
    """
    members: Members = {fold.outer: [] for fold in plan.folds}
    for fold in plan.folds:
        if finished(plan.specs[fold.name]):
            members[fold.outer].append(fold)
    inner = {fold.inner for part in members.values() for fold in part}
    lacking = [f.name for f in plan.folds if f.inner in inner and not finished(plan.specs[f.name])]
    if lacking or not inner:
        raise PredictionError(f'no report yet: {", ".join(lacking) or "all folds"} not finished')
    return members


def models(plan: Plan) -> dict[str, tuple[str, str]]:
    """Name of each model -> its prediction files within a fold: of a part, and of an external set."""
    fused = FUSION if 'schema' in plan.record['settings']['files'] else []
    folders = {f'{mode}_{model}': f'fusion/{mode}_{model}' for mode, model in fused}
    fused_files = {
        model: (f'{folder}/predictions_{{}}.csv', f'{folder}/external_{{}}/predictions_test.csv')
        for model, folder in folders.items()
    }
    return fused_files | {IMAGES: ('predictions_{}.json', 'predictions_external_{}.json')}


def _scored(plan: Plan, model: str) -> dict[str, str]:
    """Kinds of the tasks that a model predicts and that have labels; the fusion has one."""
    labelled = frozenset().union(*(fold.parts['test'].labelled for fold in plan.folds))
    kinds = plan.tasks if model == IMAGES else {plan.record['settings']['label']: 'binary'}
    return {task: kind for task, kind in kinds.items() if task in labelled}


def _ensemble(plan: Plan, members: Members, model: str, part_file: str, external_file: str) -> None:
    """Test: mean over the models of an outer fold. Development: the same score of the other patients, each by
    the models of the outer fold that tested her: what a threshold is chosen on is what it is applied to."""
    target = plan.work_dir / 'ensemble' / model
    kinds = plan.tasks if model == IMAGES else {}

    def read(part: str, folds: Sequence[Fold]) -> list[list[dict[str, Any]]]:
        return [read_predictions(plan.work_dir / fold.name / part_file.format(part)) for fold in folds]

    tests = {outer: mean_records(read('test', folds), kinds) for outer, folds in members.items()}
    for outer, test in tests.items():
        development = cross_fitted(test, [other for name, other in tests.items() if name != outer])
        development = development or [*itertools.chain(*read('val', members[outer]))]  # one outer fold only
        write_predictions(target / outer / 'mean' / 'val.json', development)
        write_predictions(target / outer / 'mean' / 'test.json', test)
    for name, site in plan.external.items():
        every = [plan.work_dir / fold.name / external_file.format(name) for fold in _all(members)]
        if model == IMAGES or site['fusion']:  # one that is missing is an error
            records = mean_records([read_predictions(path) for path in every], kinds)
            write_predictions(target / f'external_{name}.json', records)


def cross_fitted(test: list[dict[str, Any]], others: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Records of the other outer folds' test parts, of patients who are not in ``test``; each image once."""
    tested = {record['patient_id'] for record in test}
    records: dict[tuple, dict[str, Any]] = {}
    for record in itertools.chain(*others):
        if record['patient_id'] not in tested:
            records.setdefault((record['patient_id'], record['exam_id'], record['img_path']), record)
    return [*records.values()]


def _write_patients(plan: Plan, model: str, request: Request) -> None:
    """Table of what the report evaluates."""
    target = plan.work_dir / 'ensemble' / model
    tables = [_patients(target, task, kind, request) for task, kind in _scored(plan, model).items()]
    write_text(target / 'patients.csv', pd.concat(tables).to_csv())


def _patients(target: Path, task: str, kind: str, request: Request) -> pd.DataFrame:
    """One task per patient; empty if it cannot be brought to patients."""
    columns = ['task', 'fold', 'score', 'label', 'n_images']
    try:
        patients = read_patients(
            [target], task, POOLING[kind], patient_label=request.patient_label, unit=request.unit
        )
        return patients.table.assign(task=task)[columns]
    except PredictionError as error:
        logger.warning('%s', error)
        return pd.DataFrame(columns=columns)


def _all(members: Members) -> list[Fold]:
    return [fold for folds in members.values() for fold in folds]


def _report(plan: Plan, task: str, kind: str, request: Request, members: Members) -> Path | None:
    """Reports of one task -> folder of that over the outer folds, None if one was refused."""
    part = '' if task == plan.record['settings']['label'] else task
    ensembles = {m: Path('ensemble') / m for m in models(plan) if task in _scored(plan, m)}
    options = dict(
        task=task, kind=kind, n_bootstrap=request.bootstrap,
        patient_label=request.patient_label, unit=request.unit, subgroups=[*request.subgroups],
    )  # fmt: skip
    with contextlib.chdir(plan.work_dir):  # paths in a report do not tell where it was made
        pairs = {model: (str(folder), str(folder)) for model, folder in ensembles.items()}
        single = {model: _single_models(models(plan)[model][0], members) for model in ensembles}
        done = _evaluate(pairs, Path('report') / part, options | dict(members=single))
        for name, site in plan.external.items():
            pairs = {
                model: (
                    f'{folder}/external_{name}.json',
                    ','.join(f'{folder}/{o}/mean/test.json' for o in members),
                )
                for model, folder in ensembles.items()
                if (folder / f'external_{name}.json').is_file()
            }
            if task in read_part(Path(site['meta'])).labelled:
                done &= _evaluate(pairs, Path('report') / f'external_{name}' / part, options)
    return plan.work_dir / 'report' / part if done else None


def _single_models(part_file: str, members: Members) -> list[tuple[str, Path]]:
    """Outer fold and test predictions of each model, for the stability of the ensemble."""
    return [(fold.outer, Path(fold.name) / part_file.format('test')) for fold in _all(members)]


def _evaluate(pairs: dict[str, tuple[str, str]], out_dir: Path, options: dict[str, Any]) -> bool:
    """Report on predictions, with development predictions for the thresholds -> whether it could be made."""
    test, development = ([f'{model}={pair[i]}' for model, pair in pairs.items()] for i in (0, 1))
    try:
        report = evaluate(make_evaluation(pred=test, dev=development, out_dir=out_dir, **options))
    except UserError as error:
        sys.stderr.write(f'{out_dir}: no report: {error}\n')
        return False
    for line in (*summary_lines(report), out_dir / 'report.html'):
        logger.info('%s', line)
    return True
