"""What an image is, from its header or the row of the input table.

Job, header or None, Settings -> Description, or PreprocessError
"""

from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from mammo.preprocess.dicom import geometry, headers, kinds, notes, reader
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.inputs.persons import Person, exam_day, person_of
from mammo.preprocess.privacy import HIDDEN, digest, is_personal, names_somebody
from mammo.preprocess.settings import Settings
from mammo.records.ids import is_nobody, normal_id

BY_ROW = ('view', 'laterality')  # where a row and a header may contradict each other


@dataclass
class Description:
    """All of an image but its pixels."""

    item: dict[str, Any]  # fields of the meta item
    facts: dict[str, str]  # what preprocess.json counts
    person: Person
    spacing: geometry.Spacing | None
    turn: geometry.Turn = geometry.AS_STORED
    is_turn_told: bool = False  # whether the header names side and orientation
    exams: tuple[str, ...] = ()  # ids by which labels may name the exam, the first one in meta.json
    sop: str = ''
    day: int | None = None  # of the exam, shifted by a number of days that only the patient determines
    notes: list[str] = field(default_factory=list)  # codes of notes.NOTES


def describe(job: Job, header: Dataset | None, settings: Settings) -> Description:
    """Read header and row, and refuse what is no routine view of one breast of one known patient.

    Raises:
        PreprocessError: why it cannot be used.
    """
    return _of_header(job, header, settings) if header is not None else _of_row(job, settings)


def _of_row(job: Job, settings: Settings) -> Description:
    size = job.fields.get('spacing_mm')
    spacing = geometry.Spacing(size, size, 'CSV') if size else None
    special = job.fields.get('view_modifier', {})
    kinds.check_kinds(special, settings.keep)
    photometric = job.fields.get('photometric', '')
    facts = dict(vendor=job.fields.get('manufacturer', ''), syntax='PNG', photometric=photometric, voi='none')
    item = _given_fields(job, None, settings.key) | dict(kinds=[*special] or None)
    exams = (job.fields['exam_id'],) if 'exam_id' in job.fields else ()
    return Description(item, facts, Person(job.fields.get('patient_id', '')), spacing, exams=exams)


def _of_header(job: Job, ds: Dataset, settings: Settings) -> Description:
    special = kinds.special_kinds(ds)
    reader.check_usable(ds, for_processing=settings.for_processing)
    kinds.check_kinds(special, settings.keep)
    kinds.check_orientation(ds)
    patient = job.fields.get('patient_id') or normal_id(headers.text(ds, 'PatientID')) or ''
    if not job.fields.get('patient_id') and is_nobody(patient):
        text = f'PatientID is {patient!r}, which is nobody in particular; give patient_id in an input CSV'
        raise PreprocessError(Reason.NO_PATIENT_ID, text)
    person = person_of(ds, patient)
    maker = headers.text(ds, 'Manufacturer')
    maker = '' if names_somebody(maker, ds) else maker
    item: dict[str, Any] = dict(
        patient_id=patient, view=headers.view(ds), laterality=headers.laterality(ds), manufacturer=maker
    )
    _refuse_contradictions(job, item)
    item |= _given_fields(job, ds, settings.key) | dict(
        read_from=headers.from_texts(ds) or None,
        kinds=[*special] or None,
        view_modifiers=kinds.modifiers(ds) or None,
    )
    facts = dict(
        vendor=maker,
        photometric=headers.text(ds, 'PhotometricInterpretation'),
        syntax=ds.file_meta.TransferSyntaxUID.name,
    )
    exams = tuple(filter(None, (person.study, headers.text(ds, 'StudyID'))))
    return Description(
        item,
        facts,
        person,
        geometry.spacing(ds),
        turn=geometry.turn(ds),
        is_turn_told=bool(geometry.orientation(ds) and headers.laterality(ds)),
        exams=(job.fields['exam_id'],) if 'exam_id' in job.fields else exams,
        sop=digest('sop', headers.text(ds, 'SOPInstanceUID') or job.source, settings.key),
        day=_shifted_day(exam_day(person), patient, settings.key),
        notes=notes.notes(ds),
    )


def _given_fields(job: Job, ds: Dataset | None, key: bytes | None) -> dict[str, Any]:
    """What the row says and the meta item takes as it is; with a key, nothing that tells who it is."""
    used = ('spacing_mm', 'photometric', 'view_modifier')
    fields = {name: value for name, value in job.fields.items() if name not in used}
    if key is None:
        return fields
    for name in ('cohort', 'manufacturer'):
        if ds is not None and names_somebody(str(fields.get(name, '')), ds):
            fields[name] = HIDDEN
    cells = fields.get('clinic_vars', {})
    clinical = {
        column: cell
        for column, cell in cells.items()
        if not is_personal(column, cell) and not (ds is not None and names_somebody(f'{cell}', ds))
    }
    return fields | dict(clinic_vars=clinical)


def _refuse_contradictions(job: Job, item: dict[str, Any]) -> None:
    for name in BY_ROW:
        by_row, by_header = job.fields.get(name), item[name]
        if by_row and by_header and by_row != by_header:
            text = f'{name} is {by_row!r} in the table and {by_header!r} in the header, a contradiction'
            raise PreprocessError(Reason.BAD_ROW, f'row {job.row}: {text}' if job.row else text)


def _shifted_day(day: int | None, patient: str, key: bytes | None) -> int | None:
    """Keeps the order of a patient's exams and hides their dates."""
    return None if day is None else day + int(digest('day', patient, key), 16) % 10_000
