"""A table of exams: a row and a folder for every patient, in runs that may be killed and go on.

table of images, clinical table, Predictor -> predictions.csv, a folder per exam, counts
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from tqdm import tqdm

from mammo.errors import listed
from mammo.inference.answers import Row, answer_files, as_row, columns_of, write_answer
from mammo.inference.exam.asking import clinical_of, tell_unused, told_of
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import ExamError, Refusal
from mammo.preprocess.errors import PreprocessError
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.inputs.jobs import find_jobs
from mammo.preprocess.inputs.persons import ANOTHER, of_others, read_person
from mammo.preprocess.privacy import digest
from mammo.records.ids import check_look_alikes
from mammo.records.storage.files import replacing
from mammo.records.storage.out_dir import OutDir, out_dir, signature_of
from mammo.records.tables.matching import check_patients
from mammo.records.versions import VERSIONS

TOOL, TABLE = 'predict', 'predictions.csv'


class BatchSummary(NamedTuple):
    """What became of the patients of a table."""

    answered: int
    positive: int
    refused: Counter[str]  # patients by reason

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Count rows of predictions.csv."""
        refused = Counter(row['reason'] for row in rows if row['reason'])
        return cls(len(rows) - refused.total(), sum(bool(row.get('positive')) for row in rows), refused)

    def __str__(self) -> str:
        reasons = ', '.join(f'{reason} {n}' for reason, n in self.refused.most_common())
        refused = f'{self.refused.total()} refused' + (f' ({reasons})' if reasons else '')
        return f'{self.answered} patients answered, {self.positive} of them positive; {refused}'


class Asked(NamedTuple):
    """A patient of a table: her images, and what the tables tell of her; or why she cannot be scored."""

    patient: str
    jobs: list[Job]
    clinical: dict[str, Any]
    tumor_side: str | None
    folder: str  # of the answer, named by all that decides about it; '' if she cannot be scored
    refusal: ExamError | None = None


def answer_table(
    predictor: Predictor, batch: Path, folder: Path, *, clinical_table: Path | None = None,
    allow_unmatched: bool = False, cropped_png: bool | None = None, resume: bool = False, fresh: bool = False,
    further: Mapping[str, dict[str, str]] | None = None,
) -> BatchSummary:  # fmt: skip
    """All patients of a table; predictions.csv gets a row after each of them.

    A killed run loses nothing that was done: with ``resume`` it goes on, and ends with the same files.

    Args:
        batch: table with a row per image; ``folder`` is where the answers go.
        clinical_table: with a row per patient.
        allow_unmatched: more than one in ten patients may match nothing.
        cropped_png: see :meth:`Predictor.predict`.
        resume, fresh: see :func:`mammo.records.storage.out_dir.out_dir`.
        further: by patient, cells of another table, such as tumor_side; the other patients are left out.

    Raises:
        ClinicalError: the clinical table is not one for the bundle.
        UserError: more than one in ten of its patients, or of those with images, match nothing; or the folder
            is used by another run, or was made with another bundle or other options.
    """
    cells = clinical_of(clinical_table, predictor) if clinical_table else {}
    patients = list(patients_of(batch, folder))
    tell_unused(patients, predictor)
    check_look_alikes({patient for patient, _ in patients}, f'patients of {batch.name}')
    if clinical_table:
        with_images = {patient for patient, _ in patients if patient}
        check_patients(cells.keys(), with_images, clinical_table.name, allow=allow_unmatched)
    paths = dict(batch=batch, clinical_table=clinical_table)
    options: dict[str, Any] = {name: path and str(path.resolve()) for name, path in paths.items()}
    options |= dict(cropped_png=cropped_png, prediction=VERSIONS['prediction'])
    recipe = dict(tool=TOOL, bundle_id=predictor.bundle_id, options=options)
    inputs = [job.path for _, jobs in patients for job in jobs]
    with out_dir(folder, recipe, inputs=inputs, resume=resume, fresh=fresh) as out:
        anothers = _of_others([job for _, jobs in patients for job in jobs])
        tables = [cells, further or {}]
        asked = [
            _asked(patient, jobs, anothers, [t.get(patient, {}) for t in tables], predictor, cropped_png)
            for patient, jobs in patients
            if further is None or patient in further
        ]
        return BatchSummary.of(_answer_all(asked, out, predictor, cropped_png))


def _asked(
    patient: str, jobs: list[Job], anothers: set[Path], cells: list[dict[str, Any]], predictor: Predictor,
    cropped_png: bool | None,
) -> Asked:  # fmt: skip
    try:
        if wrong := [job.source for job in jobs if job.path in anothers]:
            raise ExamError(Refusal.BAD_ROW, f'{listed(wrong)}: {ANOTHER}')
        clinical, tumor_side = told_of(jobs, cells, predictor)
    except ExamError as error:
        return Asked(patient, jobs, {}, None, '', error)
    images = [[job.source, job.fields, signature_of(job.path)] for job in jobs]
    identity = json.dumps([predictor.bundle_id, patient, images, clinical, tumor_side, cropped_png])
    return Asked(patient, jobs, clinical, tumor_side, digest('exam', identity, None))


def _of_others(jobs: Sequence[Job]) -> set[Path]:
    """Images whose header names another patient of the table; what cannot be read is told later."""
    readable, persons = [], []
    for job in jobs:
        with suppress(PreprocessError):
            persons.append(read_person(job))
            readable.append(job.path)
    return {path for path, is_other in zip(readable, of_others(persons), strict=True) if is_other}


def _answer_all(asked: list[Asked], out: OutDir, predictor: Predictor, cropped_png: bool | None) -> list[Row]:
    """Rows in the order of the table; what the journal names as done is not done again."""
    done = {record['folder']: record for record in out.records if _is_whole(record, out)}
    out.start(list(done.values()), [TABLE])
    columns, table = columns_of(predictor), out.folder / TABLE
    _write_table(table, columns, [done[one.folder]['row'] for one in asked if one.folder in done])
    rows = []
    with table.open('a', newline='', encoding='utf-8') as file:
        for one in tqdm(asked, 'patients'):
            if one.folder not in done:
                record = _answer(one, out, predictor, cropped_png)
                csv.DictWriter(file, columns, lineterminator='\n').writerow(record['row'])
                file.flush()
                if not record['row']['reason']:
                    out.append(record)
                    done[one.folder] = record
            rows.append(done[one.folder]['row'] if one.folder in done else record['row'])
    _write_table(table, columns, rows)
    kept = [done[one.folder] for one in asked if one.folder in done]
    out.finish(kept, [TABLE, *(name for record in kept for name in record['made'])])
    return rows


def _is_whole(record: dict[str, Any], out: OutDir) -> bool:
    return all((out.folder / name).is_file() for name in record['made'])


def _answer(one: Asked, out: OutDir, predictor: Predictor, cropped_png: bool | None) -> dict[str, Any]:
    """Record of the journal: folder, what it made there, and row of one patient."""
    row = dict(patient_id=one.patient, folder=one.folder, reason='', message='')
    try:
        if one.refusal:
            raise one.refusal
        prediction = predictor.predict(
            one.jobs, one.clinical, tumor_side=one.tumor_side, cropped_png=cropped_png
        )
    except ExamError as error:
        refused = row | dict(folder='', reason=str(error.reason), message=error.message)
        return dict(folder=one.folder, made=[], row=refused)
    files = answer_files(prediction)
    names = [f'{one.folder}/{name}' for name in files]
    out.announce(names)
    write_answer(out.folder / one.folder, files)
    return dict(folder=one.folder, made=names, row=row | as_row(prediction.to_dict()))


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with replacing(path) as tmp, tmp.open('w', newline='', encoding='utf-8') as file:
        table = csv.DictWriter(file, columns, lineterminator='\n')
        table.writeheader()
        table.writerows(rows)


def patients_of(batch: Path, folder: Path) -> Iterator[tuple[str, list[Job]]]:
    """Patients and their images, in the order of the table; answers go to ``folder``."""
    jobs: dict[str, list[Job]] = {}
    for job in find_jobs(batch, folder):
        jobs.setdefault(job.fields.get('patient_id', ''), []).append(job)
    yield from jobs.items()
