"""What a bundle is made of: a cross-validation or one checkpoint, its fusion, its report.

folder of tools/cross_validate.py, or config, checkpoint, report -> Trained
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mammo.crossval.settings import read_record, tasks_of
from mammo.evaluation.calibration import fit_platt
from mammo.evaluation.clinical_utility import slnb, slnb_threshold
from mammo.evaluation.cohort import read_patients
from mammo.evaluation.estimates import UndefinedError
from mammo.inference.bundle import BundleError
from mammo.inference.predictor import FUSED, IMAGES
from mammo.records.files import sha256_of

FUSION_MODE = 'clinical-mammo'
CHOSEN_ON = 'cross-validated predictions of all outer folds'
KEPT = ('sensitivity', 'reduction_rate', 'fnr', 'npv')
SENSITIVITY = 0.9  # to keep, where no report says another


class Trained(NamedTuple):
    """Trained models and what is known of them."""

    model: dict[str, Any]  # config
    pipeline: list[dict[str, Any]]  # of the test
    label: str
    members: dict[str, Path]  # name -> checkpoint
    shared: bool  # one backbone for all members
    fusions: list[Path]  # checkpoint.pth of mlp.py per member; or none
    decisions: dict[str, Any]
    report: dict[str, Any]  # {} if there is none
    names: dict[str, str]  # of the models in the report: of images, of the fusion


def from_cross_validation(folder: Path, fusion_model: str, report: dict[str, Any]) -> Trained:
    """All members of a finished double cross-validation.

    Raises:
        BundleError: it is not finished, or a checkpoint is not the one that was tested.
    """
    record = read_record(folder)
    if not record or 'folds' not in record:
        raise BundleError(f'{folder}: no finished cross-validation; run tools/cross_validate.py to its end')
    settings, members = record['settings'], {}
    for name, about in record['folds'].items():
        members[name] = folder / name / about['checkpoint']
        if not members[name].is_file() or sha256_of(members[name]) != about['sha256']:
            raise BundleError(f'{members[name]}: missing or changed since it was tested; run that fold again')
    names = {IMAGES: IMAGES, FUSED: f'{FUSION_MODE}_{fusion_model}'}
    fused = 'schema' in settings['files']
    fusions = [folder / name / 'fusion' / names[FUSED] / 'checkpoint.pth' for name in members if fused]
    target = report.get('settings', {}).get('sensitivity', SENSITIVITY)
    decisions = {
        model: _from_patients(
            folder / 'ensemble' / name,
            settings['label'],
            target,
            _tested(report, name),
            record.get('patient_label', 'same'),
        )
        for model, name in names.items()
        if model == IMAGES or fused
    }
    config = settings['config']
    pipeline = config['test_dataloader']['dataset']['pipeline']
    shared = record['shared_backbone']
    return Trained(
        config['model'], pipeline, settings['label'], members, shared, fusions, decisions, report, names
    )


def from_checkpoint(
    config: Any, checkpoint: Path, fusion: Path | None, report: dict[str, Any], names: dict[str, str]
) -> Trained:
    """One model, optionally with a work dir of mlp.py; thresholds are those of the report."""
    there = report.get('models', {})
    wrong = [name for name in names.values() if report and name not in there]
    names = {model: name for model, name in names.items() if name not in wrong}
    if IMAGES not in names or (fusion and FUSED not in names):
        raise BundleError(f'the report has no model {wrong}, but {[*there]}; give --report-names')
    _check_report(report)
    decisions = {model: _from_report(report, name) for model, name in names.items() if report}
    fusions = [fusion / 'checkpoint.pth'] if fusion else []
    pipeline = config.test_dataloader.dataset.pipeline
    tasks = tasks_of(config)
    label = report.get('task') or next(iter(tasks))
    if label not in tasks:
        raise BundleError(
            f'the report is on task {label!r}, the config has {[*tasks]}; give the report of one of them'
        )
    return Trained(config.model, pipeline, label, {'0': checkpoint}, True, fusions, decisions, report, names)


def _check_report(report: dict[str, Any]) -> None:
    """Its thresholds must be for the scores that a Predictor gives."""
    settings = report.get('settings', {})
    usual = dict(aggregate='max', all_sides=False, all_exams=False)
    other = {k: settings[k] for k, v in usual.items() if settings.get(k, v) != v}
    if other:
        raise BundleError(
            f"the report was made with {other}, but a bundle scores the highest image of the tumor's side; "
            'run tools/evaluate.py without these options'
        )


def _from_patients(
    ensemble: Path, label: str, target: float, tested: Any, patient_label: str
) -> dict[str, Any]:
    """Threshold and recalibration from patients, each scored by models that did not learn from him."""
    table = read_patients([ensemble], label, patient_label=patient_label).table.dropna(subset='label')
    scores, labels = table.score.to_numpy(float), table.label.to_numpy(float)
    known: dict[str, Any] = dict(target_sensitivity=target, chosen_on=CHOSEN_ON, tested=tested)
    try:
        threshold = slnb_threshold(scores, labels, target)
    except UndefinedError as reason:
        return known | dict(threshold=None, achieved=None, recalibration=None, reason=str(reason))
    found = slnb(scores, labels, threshold, CHOSEN_ON)
    return known | dict(
        threshold=threshold,
        achieved={key: found[key] for key in KEPT},
        recalibration=_platt(scores, labels),
    )


def _platt(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
    try:
        fitted = fit_platt(scores, labels)
    except UndefinedError:
        return None
    return fitted if fitted['slope'] > 0 else None  # else it would turn the order of patients round


def _tested(report: dict[str, Any], name: str) -> dict[str, Any] | None:
    """How thresholds of development data did on test patients, by the report."""
    development = report.get('models', {}).get(name, {}).get('slnb', {}).get('development')
    return {key: development[key] for key in KEPT} if development else None


def _from_report(report: dict[str, Any], name: str) -> dict[str, Any]:
    """Threshold and recalibration of one model as its report has them."""
    entry = report['models'][name]
    if 'slnb' not in entry:  # of a regression task
        return dict(threshold=None, recalibration=None)
    chosen = entry['slnb']['development'] or entry['slnb']['test']
    where = f'{chosen["threshold_chosen_on"]} data'
    parameters = ((entry.get('recalibration') or {}).get('platt') or {}).get('parameters') or {}
    values = {key: chosen[key] for key in KEPT}
    on_test = chosen is entry['slnb']['test']
    return dict(
        threshold=chosen['threshold'],
        target_sensitivity=report['settings']['sensitivity'],
        chosen_on=where,
        achieved=values if on_test else None,
        tested=None if on_test else values,
        recalibration=parameters if 'slope' in parameters else None,
    )
