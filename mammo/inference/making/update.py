"""A bundle for a site of its own: its patients are scored, nothing is trained, the old bundle stays as it is.

BUNDLE, table of images, table of labels -> answers of the patients, a new BUNDLE, and lines about it
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from mammo.errors import UserError, listed
from mammo.inference.answers import RECORD
from mammo.inference.batch import TABLE, answer_table, patients_of
from mammo.inference.bundle.decisions import FUSED
from mammo.inference.bundle.folder import Bundle, BundleError, canonical, open_bundle, write_bundle
from mammo.inference.exam.asking import SIDE
from mammo.inference.making.site import MIN_EVENTS, check_classes, site_entry, site_lines
from mammo.inference.predictor import Predictor
from mammo.preprocess.inputs.labels import sides_of
from mammo.records.ids import normal_id
from mammo.records.tables.matching import check_patients
from mammo.records.tables.numerals import numbers
from mammo.records.tables.reading import read_table

logger = logging.getLogger(__name__)


def update_bundle(
    bundle: Path, labels: Path, out: Path, *, site: str, sensitivity: float | None = None,
    confidence: float | None = None, device: str = 'auto', **answering: Any,
) -> list[str]:  # fmt: skip
    """See the options of tools/update_bundle.py -> lines about what was found and made.

    Args:
        **answering: batch, out_dir, clinical_table, allow_unmatched, cropped_png of
            :func:`mammo.inference.batch.answer_table`.

    Raises:
        UserError: tables that do not fit each other, too few patients, or scores that mean nothing there.
    """
    if out.exists():
        raise BundleError(f'{out}: exists; a bundle is never changed, name another folder or remove it')
    predictor = Predictor.load(bundle, device)
    decisions = predictor.decisions
    if predictor.tasks[predictor.label] != 'binary' or not decisions.content:
        raise BundleError(f'{bundle}: {predictor.label} is a number, or nothing is calibrated; no update')
    if decisions.site:
        base = decisions.site['base']
        raise BundleError(
            f'{bundle}: is updated already, for {decisions.site["name"]}; update bundle {base[:12]}'
        )
    rows = _answered(predictor, labels, site, **answering)
    target = sensitivity or decisions.content['target_sensitivity']
    confidence = confidence or decisions.content['confidence']
    entry = dict(base=predictor.bundle_id, **site_entry(rows, site, target, confidence))
    if entry['n_events'] < MIN_EVENTS:
        logger.warning('%d positive patients: with fewer than %d the update is uncertain', entry['n_events'],
                       MIN_EVENTS)  # fmt: skip
    write_bundle(out, _files(open_bundle(bundle), entry))
    made = Predictor.load(out, 'cpu')
    return [*site_lines(entry), f'{out}: id {made.bundle_id}']


def _answered(
    predictor: Predictor, labels: Path, site: str, *, batch: Path, out_dir: Path, **answering: Any
) -> pd.DataFrame:
    """Score the patients who have a label -> see ``scored``; what cannot end well is refused before."""
    table = labels_of(labels, predictor.label)
    patients = {patient for patient, _ in patients_of(batch, out_dir)}
    check_patients({*table.index}, patients, labels.name, allow=answering.get('allow_unmatched', False))
    labelled = table[table.label.notna() & table.index.isin(patients)]
    unlabelled = int(table.label.isna().sum())
    if unlabelled:
        logger.warning('%d of %d patients of %s have no label', unlabelled, len(table), labels.name)
    check_classes(labelled.label, site)
    sides = {str(patient): {SIDE: side} for patient, side in labelled[SIDE].items()}
    summary = answer_table(predictor, batch, out_dir, **answering, resume=True, further=sides)
    logger.info('%s', summary)
    return scored(out_dir, labelled.label)


def labels_of(path: Path, task: str) -> pd.DataFrame:
    """Rows of the table -> label (NaN: unknown) and tumor_side ('': not told here) by patient.

    As in tables of tools/preprocess.py, the laterality of a row without tumor_side is the side of the tumor.

    Raises:
        UserError: an id is there twice, a label is neither 0 nor 1, all are equal, or a side is none.
    """
    table = read_table(path, ['patient_id', task], kept=(SIDE, 'laterality'))
    ids = [normal_id(cell, f'{path}: patient_id') or '' for cell in table.patient_id]
    repeated = sorted(name for name, n in Counter(ids).items() if n > 1)
    if repeated or '' in ids:
        problem = f'patients are there more than once: {listed(repeated)}' if repeated else 'a row has no id'
        raise UserError(f'{path}: {problem}; keep one row per patient')
    values = numbers(table[task], f'{path}: column {task}').set_axis(ids)
    labels = values.dropna()
    odd = labels[~labels.isin([0, 1])]
    if len(odd):
        problem = listed(f'{patient}: {value:g}' for patient, value in odd.items())
        raise UserError(f'{path}: {task} is neither 0 nor 1 for {problem}')
    if labels.nunique() < 2:
        problem = f'all {len(labels)} are {labels.iloc[0]:g}' if len(labels) else 'there is none'
        raise UserError(f'{path}: labels of both classes are needed, {problem}')
    rows = zip(table.index, table.to_dict('records'), strict=True)
    sides = [tumor_side for _, tumor_side in (sides_of(row, f'{path}: row {line}') for line, row in rows)]
    return pd.DataFrame({'label': values, SIDE: sides}, ids)


def scored(folder: Path, labels: pd.Series) -> pd.DataFrame:
    """Answers of answer_table -> patient_id, prob, label of those that are calibrated and labelled."""
    table = read_table(folder / TABLE, ['patient_id', 'folder', 'reason'], kept=None)
    answers = {
        patient: json.loads((folder / of_patient / RECORD).read_text(encoding='utf-8'))
        for patient, of_patient, reason in zip(table.patient_id, table.folder, table.reason, strict=True)
        if not reason and patient in labels.index
    }
    probs = {patient: _calibrated(answer) for patient, answer in answers.items()}
    without = sorted(patient for patient, prob in probs.items() if prob is None)
    if without:
        logger.warning('%d patients have inputs without calibration: %s', len(without), listed(without))
    rows = [(patient, prob, labels[patient]) for patient, prob in probs.items() if prob is not None]
    return pd.DataFrame(rows, columns=['patient_id', 'prob', 'label'])


def _calibrated(answer: dict[str, Any]) -> float | None:
    main = answer['fused'] if answer['model'] == FUSED else answer['tasks'][answer['label']]
    return main['recalibrated']


def _files(old: Bundle, site: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The files of a bundle, two of them with what the site adds."""
    for name in old.files:
        content = old.read(name)
        if name == 'decision.json':
            content = canonical(old.json(name) | dict(site=site))
        elif name == 'MODEL_CARD.md':
            text = '\n'.join(site_lines(site))
            content += f'\n## Updated for {site["name"]}\nOf bundle {site["base"]}.\n{text}\n'.encode()
        yield name, content
