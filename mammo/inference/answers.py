"""Answers on disk: one exam in a folder, and a table of exams with a row per patient.

Prediction -> prediction.json, overlays; table of images, clinical table -> predictions.csv, a folder per exam
"""

import csv
import json
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from mammo.fusion.clinical import ClinicalError, check_table
from mammo.inference.decisions import FUSED
from mammo.inference.exam import ExamError
from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.preprocess.images import signature
from mammo.preprocess.inputs.jobs import Job, find_jobs
from mammo.preprocess.inputs.labels import side
from mammo.preprocess.privacy import digest
from mammo.records.files import replacing, write_text
from mammo.records.ids import normal_id
from mammo.records.matching import check_patients
from mammo.records.numerals import decimal_points
from mammo.records.tables import read_table

OVERLAY = '{}_attention.png'
SIDE = 'tumor_side'  # a column of the tables
TABLE = 'predictions.csv'


def write_answer(folder: Path, prediction: Prediction) -> None:
    """JSON and overlays; those of an earlier answer in this folder go first."""
    record = folder / 'prediction.json'
    if record.is_file():
        record.unlink()
        for path in folder.glob(OVERLAY.format('*')):
            path.unlink()
    for name, png in prediction.overlays().items():
        with replacing(folder / OVERLAY.format(name)) as tmp:
            tmp.write_bytes(png)
    write_text(record, prediction.to_json())


class BatchSummary(NamedTuple):
    """What became of the patients of a table."""

    answered: int
    positive: int
    refused: Counter[str]  # patients by reason

    def __str__(self) -> str:
        reasons = ', '.join(f'{reason} {n}' for reason, n in self.refused.most_common())
        text = f'{self.answered} patients answered, {self.positive} of them positive'
        return text + f'; {self.refused.total()} could not be scored' + (f': {reasons}' if reasons else '')


def answer_table(args: Namespace, predictor: Predictor) -> BatchSummary:
    """All patients of a table; predictions.csv gets a row after each of them.

    A patient's folder is named by all that decides about the answer: a killed run goes on where it was.

    Raises:
        ClinicalError: the clinical table is not one for the bundle.
        UserError: more than one in ten of its patients, or of those with images, match nothing.
    """
    cells = clinical_of(args.clinical_table, predictor) if args.clinical_table else {}
    patients = list(patients_of(args))
    if cells:
        with_images = {patient for patient, _ in patients if patient}
        check_patients(cells.keys(), with_images, args.clinical_table.name, allow=args.allow_unmatched)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    answered, positive, refused = 0, 0, Counter[str]()
    with (args.out_dir / TABLE).open('w', newline='', encoding='utf-8') as file:
        table = csv.DictWriter(file, columns_of(predictor), lineterminator='\n')
        table.writeheader()
        for patient, jobs in tqdm(patients, 'patients'):
            row = _row(patient, jobs, cells.get(patient, {}), args, predictor)
            table.writerow(row)
            file.flush()
            refused.update([row['reason']] if row['reason'] else [])
            answered += not row['reason']
            positive += bool(row.get('positive'))
    return BatchSummary(answered, positive, refused)


def _row(
    patient: str, jobs: list[Job], cells: dict[str, Any], args: Namespace, predictor: Predictor
) -> dict[str, Any]:
    """Answer one patient, unless that is done already."""
    row = dict(patient_id=patient, folder='', reason='', message='')
    try:
        clinical, tumor_side = told_of(jobs, cells, predictor)
        images = [[job.source, job.given, signature(job)] for job in jobs]
        told = json.dumps([predictor.bundle_id, patient, images, clinical, tumor_side, args.cropped_png])
        row['folder'] = digest('exam', told, None)
        record = args.out_dir / row['folder'] / 'prediction.json'
        if not record.is_file():
            options = dict(tumor_side=tumor_side, cropped_png=args.cropped_png)
            write_answer(record.parent, predictor.predict(jobs, clinical, **options))
        return row | as_row(json.loads(record.read_text(encoding='utf-8')))
    except ExamError as error:
        return row | dict(reason=error.reason, message=error.message)


def columns_of(predictor: Predictor) -> list[str]:
    """Of predictions.csv."""
    fused = [f'{predictor.label}_fused'] if predictor.fusion else []
    first = ['patient_id', 'folder', 'reason', 'message', *predictor.tasks, *fused]
    return [*first, f'{predictor.label}_prob', 'positive', 'model', 'missing', 'notes']


def as_row(answer: dict[str, Any]) -> dict[str, Any]:
    """A prediction as plain data -> cells of predictions.csv; the answer is ``<label>_prob``."""
    fused, label = answer['fused'], answer['label']
    values = {task: score['value'] for task, score in answer['tasks'].items()}
    values |= {f'{label}_fused': fused['value']} if fused else {}
    main = fused if answer['model'] == FUSED else answer['tasks'][label]
    about = dict(positive=(main['decision'] or {}).get('positive'), model=answer['model'])
    notes = dict(missing=', '.join(answer['missing']), notes='; '.join(answer['warnings']))
    return values | {f'{label}_prob': answer['prob']} | about | notes


def clinical_of(path: Path, predictor: Predictor) -> dict[str, dict[Any, str]]:
    """Patient -> cells of the clinical table: variables of the bundle, and tumor_side; all checked."""
    if predictor.fusion is None:
        raise ClinicalError(f'{path}: the bundle has no fused model; leave --clinical-table out')
    schema = predictor.fusion.schema
    cells = read_table(path, kept=[schema.patient_id, *(v.column for v in schema.variables)])
    check_table(cells, schema, str(path))
    for v in schema.variables:
        cells[v.column] = decimal_points(list(cells[v.column])) if v.range else cells[v.column]
    wanted = [c for c in cells.columns if c == SIDE or c in {v.column for v in schema.variables}]
    rows = cells[wanted].to_dict('records')
    ids = [normal_id(cell) or '' for cell in cells[schema.patient_id]]
    return dict(zip(ids, rows, strict=True))


def patients_of(args: Namespace) -> Iterator[tuple[str, list[Job]]]:
    """Patients and their images, in the order of the table."""
    jobs: dict[str, list[Job]] = {}
    for job in find_jobs(args.batch, args.out_dir):
        jobs.setdefault(job.given.get('patient_id', ''), []).append(job)
    yield from jobs.items()


def told_of(
    jobs: list[Job], cells: dict[str, Any], predictor: Predictor
) -> tuple[dict[str, Any], str | None]:
    """What the rows of a patient's images and of the clinical table say -> clinical values, tumor side.

    Raises:
        ExamError: two rows contradict each other, or the side is none.
    """
    names = {name for v in predictor.schema for name in (v['name'], v['column'])}
    told: dict[str, dict[str, Any]] = {}
    for row in [cells, *(job.given.get('clinic_vars', {}) for job in jobs)]:
        for name, value in row.items():
            if name == SIDE and value:
                told.setdefault(name, {})[_side(value)] = _side(value)
            elif name in names and value not in (None, ''):
                told.setdefault(name, {})[_as_number(value)] = value
    for name, values in told.items():
        if len(values) > 1:
            raise ExamError('CONTRADICTION', f'{name} is {" and ".join(sorted(values))}; give one value')
    found = {name: value for name, values in told.items() for value in values.values()}
    return {name: value for name, value in found.items() if name != SIDE}, found.get(SIDE) or None


def _side(value: str) -> str:
    try:
        return side(value, SIDE)
    except ValueError:
        raise ExamError('BAD_SIDE', f'tumor_side is {value!r}, expected L, R, or empty if unknown') from None


def _as_number(value: Any) -> str:
    """One spelling for 54, 54.0 and '54'."""
    try:
        return f'{float(value):g}'
    except ValueError:
        return str(value)
