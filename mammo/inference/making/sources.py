"""What a bundle is made of: a cross-validation or one checkpoint, its fusion, its report.

folder of tools/cross_validate.py, or config, checkpoint, report -> Trained
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config

from mammo.crossval.settings import read_record, tasks_of, with_preprocessor
from mammo.evaluation.clinical_use.calibration import recalibrate
from mammo.fusion.model import read_model
from mammo.fusion.partial import KNOWN
from mammo.inference.bundle.decisions import FUSED, IMAGES
from mammo.inference.bundle.folder import BundleError
from mammo.inference.making.decisions import FUSION_MODE, decisions
from mammo.records.storage.files import sha256_of

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
    amp: bool = False  # images were scored with mixed precision


def from_cross_validation(
    folder: Path, fusion_model: str, report: dict[str, Any], *, sensitivity: float | None = None,
    confidence: float | None = None,
) -> Trained:  # fmt: skip
    """All members of a finished double cross-validation.

    Args:
        sensitivity: to keep; default: that of the report.
        confidence: with which the true sensitivity is promised; None: that of the patients is kept.

    Raises:
        BundleError: it is not finished, or a checkpoint is not the one that was tested.
    """
    record = read_record(folder)
    if not record or 'folds' not in record:
        raise BundleError(f'{folder}: no finished cross-validation; run tools/cross_validate.py to its end')
    settings, members = record['settings'], {}
    for name, of_fold in record['folds'].items():
        members[name] = folder / name / of_fold['checkpoint']
        if not members[name].is_file() or sha256_of(members[name]) != of_fold['sha256']:
            raise BundleError(f'{members[name]}: missing or changed since it was tested; run that fold again')
    names = {IMAGES: IMAGES, FUSED: f'{FUSION_MODE}_{fusion_model}'}
    fused = 'schema' in settings['files']
    fusions = [folder / name / 'fusion' / names[FUSED] / 'checkpoint.pth' for name in members if fused]
    target = sensitivity or report.get('settings', {}).get('sensitivity', SENSITIVITY)
    kinds = tasks_of(Config(settings['config']))
    content = {}
    if kinds[settings['label']] == 'binary':  # a number of nodes has no sensitivity
        content = decisions(folder, record, names, target, confidence)
        for model, name in names.items():
            _tell_tested(content, model, _tested(report, name))
    config = with_preprocessor(settings['config'])
    pipeline = config['test_dataloader']['dataset']['pipeline']
    return Trained(
        config['model'], pipeline, settings['label'], members, record['shared_backbone'], fusions, content,
        report, names, settings.get('amp', False),
    )  # fmt: skip


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
    content = _of_report(report, names) if report else {}
    fusions = [fusion / 'checkpoint.pth'] if fusion else []
    if fusions and FUSED in content:  # the report is about patients of whom all is known
        content[FUSED][KNOWN] = [None] * _n_variables(fusions[0]) + content[FUSED][KNOWN]
    pipeline = config.test_dataloader.dataset.pipeline
    tasks = tasks_of(config)
    label = report.get('task') or next(iter(tasks))
    if label not in tasks:
        raise BundleError(
            f'the report is on task {label!r}, the config has {[*tasks]}; give the report of one of them'
        )
    return Trained(config.model, pipeline, label, {'0': checkpoint}, True, fusions, content, report, names)


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


def _n_variables(path: Path) -> int:
    encoding = read_model(path)['inputs']['encoding'].get('x_preope') or {}
    return len(encoding.get('encoder', {}).get('schema', {}).get('variables', []))


def _tell_tested(content: dict[str, Any], model: str, tested: dict[str, Any] | None) -> None:
    """Tell the cell that the report is about how its threshold did on test patients."""
    of_side = content.get(model, {}).get(KNOWN)
    if of_side and tested:
        (of_side if model == IMAGES else of_side[-1])['tested'] = tested


def _tested(report: dict[str, Any], name: str) -> dict[str, Any] | None:
    """How thresholds of development data did on test patients, by the report."""
    development = report.get('models', {}).get(name, {}).get('slnb', {}).get('development')
    return {key: development[key] for key in KEPT} if development else None


def _of_report(report: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Decisions of one model as its report has them: for known sides and all values, nothing for others."""
    cells = {model: _cell_of(report['models'][name]) for model, name in names.items()}
    if not any(cells.values()):  # of a regression task
        return {}
    where = next(cell['chosen_on'] for cell in cells.values() if cell)
    content: dict[str, Any] = dict(
        target_sensitivity=report['settings']['sensitivity'], confidence=None, chosen_on=where
    )
    for model, cell in cells.items():
        content[model] = {KNOWN: cell if model == IMAGES else [cell]}
    return content


def _cell_of(entry: dict[str, Any]) -> dict[str, Any] | None:
    if 'slnb' not in entry:
        return None
    chosen = entry['slnb']['development'] or entry['slnb']['test']
    parameters = ((entry.get('recalibration') or {}).get('platt') or {}).get('parameters') or {}
    recalibration = parameters if 'slope' in parameters else None
    threshold = chosen['threshold']
    if threshold is not None and recalibration:  # reports have it of the score
        threshold = float(recalibrate(recalibration, np.array([threshold]))[0])
    values = {key: chosen[key] for key in KEPT}
    on_test = chosen is entry['slnb']['test']
    return dict(
        threshold=threshold, chosen_on=f'{chosen["threshold_chosen_on"]} data', recalibration=recalibration,
        achieved=values if on_test else None, tested=None if on_test else values, log_loss=None,
        n_patients=entry['n_patients'], n_events=entry['n_events'], better=True,
    )  # fmt: skip
