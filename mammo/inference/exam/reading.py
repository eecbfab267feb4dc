"""The images of one exam, checked together: one patient, known views, nothing twice.

DICOM or PNG files of one patient -> Exam: grey images uint8 (H, W) with side and view, warnings
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammo.inference.exam.images import Exam, ExamImage, oddities
from mammo.inference.exam.views import Images, jobs_of, side_and_view
from mammo.inference.refusals import ExamError, Refusal
from mammo.preprocess.description import BY_ROW
from mammo.preprocess.dicom import headers, notes, reader
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.images import render
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.inputs.persons import Person, contradictions, person_of, several_exams
from mammo.preprocess.privacy import redact
from mammo.preprocess.settings import Settings
from mammo.records.storage.files import sha256_of, sha256_of_bytes
from mammo.records.storage.png import MAX_BYTES, MAX_PIXELS, ImageFileError, read_grey, to_uint8

MAX_IMAGES = 32  # of one exam
MAX_EXAM_PIXELS = 4 * MAX_PIXELS  # of all its images, cropped
REWORDED = {  # messages of the preprocessing that name its options
    Reason.NOT_DICOM: 'neither a DICOM file nor a PNG or JPEG image',
    Reason.INVERTED: 'bright background: a negative; invert it, so that dense tissue is bright',
    Reason.FOR_PROCESSING: 'raw detector values (For Processing); give the For Presentation image',
}
IMAGE_STARTS = (b'\x89PNG', b'\xff\xd8\xff')  # PNG, JPEG


def exam_settings(preprocess: dict[str, Any] | None) -> Settings:
    """Settings in preprocess.json of the training images -> the same for the images of an exam."""
    names = ('spacing_mm', 'voi', 'for_processing', 'flip_to')
    return Settings(Path('.'), **{name: preprocess[name] for name in names if preprocess})


class _Source(NamedTuple):
    """What tells whose an image is and which it is; stays in memory."""

    person: Person
    key: str
    age: float | None = None


def read_exam(images: Images, settings: Settings, *, cropped_png: bool = False) -> Exam:
    """Read all images of one patient.

    Args:
        settings: of the preprocessing that the models were trained with.
        cropped_png: PNG files are images of tools/preprocess.py, and are used as they are.

    Raises:
        ExamError: an image or the exam as a whole cannot be used.
    """
    jobs = jobs_of(images)
    if not 0 < len(jobs) <= MAX_IMAGES:
        raise ExamError(
            Refusal.NUMBER_OF_IMAGES, f'{len(jobs)} images; give 1 to {MAX_IMAGES} of one patient'
        )
    read: list[ExamImage] = []
    sources: list[_Source] = []
    keys: dict[str, str] = {}
    for job in jobs:
        image, source = _read(job, settings, cropped_png)
        same = keys.setdefault(source.key, job.source)
        if len(keys) == len(read):
            raise ExamError(Refusal.DUPLICATE, f'{job.source} and {same} are the same image; give it once')
        read.append(image)
        if sum(i.pixels.size for i in read) > MAX_EXAM_PIXELS:
            text = f'more than {MAX_EXAM_PIXELS} pixels in one exam; give fewer or smaller images'
            raise ExamError(Refusal.TOO_LARGE, text)
        sources.append(source)
    _refuse_mixed([source.person for source in sources])
    ages = tuple(dict.fromkeys(source.age for source in sources if source.age is not None))
    return Exam(read, oddities(read, settings.spacing_mm), ages)


def _refuse_mixed(persons: list[Person]) -> None:
    """All images must be of one person and one exam, as far as their headers tell."""
    n_patients = len({person.patient_id for person in persons} - {''})
    if n_patients > 1:
        raise ExamError(
            Refusal.MIXED_PATIENTS, f'these are images of {n_patients} patients; give those of one'
        )
    if any(contradictions([person._replace(patient_id='one') for person in persons])):
        text = 'these are images of several people with one id; give those of one'
        raise ExamError(Refusal.MIXED_PATIENTS, text)
    if several_exams(persons):
        text = 'these are images of several studies or dates; give those of one exam'
        raise ExamError(Refusal.MIXED_EXAMS, text)


def _read(job: Job, settings: Settings, cropped_png: bool) -> tuple[ExamImage, _Source]:
    """One image, and what tells whose it is, when it was taken and which it is."""
    header: Dataset | None = None
    try:
        if job.error is not None:
            raise job.error
        start = _start(job.path)
        if job.is_png or start.startswith(IMAGE_STARTS):
            pixels, is_scaled = _from_png(job, settings, cropped_png)
            side, view, told_by = side_and_view(job, {})
            exam = '' if 'exam_order' in job.fields else job.fields.get('exam_id', '')  # the order picks one
            source = _Source(Person(job.fields.get('patient_id', ''), study=exam), '')
            codes = []
        else:
            header = reader.read(job.path, header_only=True)
            patient = headers.text(header, 'PatientID') or job.fields.get('patient_id', '')
            # a calculator needs no name; side and view that are given are compared below
            row = {k: v for k, v in job.fields.items() if k not in BY_ROW} | dict(
                patient_id=patient or 'unknown'
            )
            image, _, record = render(replace(job, fields=row), header, settings)
            pixels, is_scaled = image, 'spacing_mm' in record['item']
            codes = record['item'].get('notes', [])
            side, view, told_by = side_and_view(job, record['item'])
            told_by = 'free text' if told_by == 'header' and 'read_from' in record['item'] else told_by
            source = _Source(person_of(header, patient), record['sop'], notes.age_years(header))
    except PreprocessError as error:
        message = REWORDED.get(error.reason, redact(error.message, header, settings.key))
        place = f'{job.source}: '
        raise ExamError(Refusal[error.reason], place + message.removeprefix(place)) from None
    source = source._replace(key=source.key or sha256_of_bytes(pixels.tobytes()))
    return ExamImage(
        job.source, view, side, told_by, pixels, is_scaled, sha256_of(job.path), tuple(codes),
        job.fields.get('exam_order'),
    ), source  # fmt: skip


def _from_png(job: Job, settings: Settings, cropped: bool) -> tuple[NDArray[np.uint8], bool]:
    """Pixels, and whether their size is right."""
    if not cropped:
        row = dict(patient_id='unknown') | job.fields
        rendered = render(replace(job, fields=row, is_png=True), None, settings)
        return rendered.image, 'spacing_mm' in rendered.record['item']
    try:
        image, bits = read_grey(job.path)
    except ImageFileError as error:
        raise PreprocessError(Reason.UNREADABLE, str(error).removeprefix(f'{job.path}: ')) from None
    return to_uint8(image, bits=bits), True


def _start(path: Path) -> bytes:
    """First bytes of a file of sensible size."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise PreprocessError(Reason.TOO_LARGE, f'{size} bytes, a mammogram has at most {MAX_BYTES}')
        with path.open('rb') as file:
            return file.read(8)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or 'no such file'
        if isinstance(error, PreprocessError):
            raise
        raise PreprocessError(Reason.UNREADABLE, f'cannot be read: {reason}') from None
