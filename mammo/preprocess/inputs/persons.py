"""Whose image it is, and whether two headers can be of one person and one exam.

pydicom Dataset -> Person; Persons of many images -> reason codes of those that cannot be true
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pydicom.dataset import Dataset

from mammo.preprocess.dicom import headers, reader
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.job import Job
from mammo.records.ids import normal_id

ANOTHER = 'the header names another patient of the table than the row; correct the row'
DATES = ('StudyDate', 'AcquisitionDate', 'SeriesDate', 'ContentDate')


class Person(NamedTuple):
    """What tells people and studies apart; stays in memory and is never written."""

    patient_id: str  # as the image will carry it: of the CSV if it names one, else of the header
    issuer: str = ''  # PS3.3 C.7.1.1: PatientID holds within its issuer only
    birth_date: str = ''
    sex: str = ''
    study: str = ''
    dates: tuple[int | None, ...] = (None,) * len(DATES)  # days, in the order of DATES
    in_header: str = ''  # PatientID, whatever a table says


def read_person(job: Job) -> Person:
    """Read whose image it is, from the header and what the table says.

    Raises:
        PreprocessError: the header cannot be read.
    """
    if job.is_png:
        return Person(job.fields.get('patient_id', ''))
    ds = reader.read(job.path, header_only=True)
    return person_of(ds, job.fields.get('patient_id') or headers.text(ds, 'PatientID'))


def person_of(ds: Dataset, patient_id: str) -> Person:
    """Read the identifying tags of a header; ``patient_id`` of a CSV needs no issuer."""
    sex = headers.text(ds, 'PatientSex').upper()
    birth_date = headers.text(ds, 'PatientBirthDate')
    has_own_id = patient_id == headers.text(ds, 'PatientID')
    return Person(
        normal_id(patient_id, 'PatientID') or '',
        headers.text(ds, 'IssuerOfPatientID') if has_own_id else '',
        birth_date if birth_date.strip('0') else '',
        sex if sex in ('F', 'M') else '',
        headers.text(ds, 'StudyInstanceUID'),
        tuple(day_of(headers.text(ds, tag)) for tag in DATES),
        normal_id(headers.text(ds, 'PatientID')) or '',
    )


def day_of(date: str) -> int | None:
    """DICOM date (PS3.5 6.2, DA) -> number of the day, None if it is none."""
    try:
        return datetime.strptime(date.replace('.', ''), '%Y%m%d').toordinal()
    except ValueError:
        return None


def exam_day(person: Person) -> int | None:
    """Day of the exam: the first date that there is."""
    return next((day for day in person.dates if day is not None), None)


def contradictions(persons: Sequence[Person]) -> list[PreprocessError | None]:
    """For each image, why its patient cannot be one person, or its study not one patient's.

    The messages do not say what differs: that is what must not leave the header.
    """
    people: dict[str, list[Person]] = defaultdict(list)
    owners: dict[str, set[str]] = defaultdict(set)
    for person in persons:
        people[person.patient_id].append(person)
        owners[person.study] |= {person.patient_id} - {''}
    mixed = {patient for patient, group in people.items() if patient and _differ(group)}
    split = {study for study, patients in owners.items() if study and len(patients) > 1}
    swapped = of_others(persons)
    return [_problem(p, mixed, split, is_other) for p, is_other in zip(persons, swapped, strict=True)]


def of_others(persons: Sequence[Person]) -> list[bool]:
    """For each image, whether its header names another patient of the table than its row does.

    Only where most headers and rows agree: else the table has ids of its own, and a likeness tells nothing.
    """
    ids, in_headers = {p.patient_id for p in persons}, [p for p in persons if p.in_header]
    n_agreeing = sum(p.in_header == p.patient_id for p in in_headers)
    return [2 * n_agreeing > len(in_headers) and p.in_header in ids - {p.patient_id} for p in persons]


def _problem(person: Person, mixed: set[str], split: set[str], is_other: bool) -> PreprocessError | None:
    if is_other:
        return PreprocessError(Reason.BAD_ROW, ANOTHER)
    remedy = 'patient_id in an input CSV'
    if person.patient_id in mixed:
        text = 'images with this patient id differ in issuer, birth date or sex; tell the people apart with'
        return PreprocessError(Reason.MIXED_PATIENTS, f'{text} {remedy}')
    if person.study in split:
        text = f'images of this study have several patient ids; if it is one person, give one {remedy}'
        return PreprocessError(Reason.STUDY_OF_TWO_PATIENTS, text)
    return None


def several_exams(persons: Sequence[Person]) -> bool:
    """Whether images of one patient are of several studies, or of several days."""
    if len({person.study for person in persons} - {''}) > 1:
        return True
    return any(
        len({day for day in days if day} - {None}) > 1
        for days in zip(*(p.dates for p in persons), strict=True)
    )


def _differ(group: Sequence[Person]) -> bool:
    """An empty value contradicts nothing: older files of one woman often lack it."""
    values = zip(*((p.issuer, p.birth_date, p.sex) for p in group), strict=True)
    return any(len(set(column) - {''}) > 1 for column in values)
