"""The images of one exam, checked together: one patient, known views, nothing twice.

DICOM or PNG files of one patient -> Exam: grey images uint8 (H, W) with side and view, warnings
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammo.inference.views import SIDES, ExamError, Images, job_of, jobs_of, side_and_view
from mammo.preprocess import dicom, headers
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.grey import Settings
from mammo.preprocess.images import render
from mammo.preprocess.inputs import Job
from mammo.preprocess.privacy import redact
from mammo.records.png import MAX_BYTES, MAX_PIXELS, ImageFileError, read_grey, to_uint8

__all__ = ['MAX_IMAGES', 'Exam', 'ExamError', 'ExamImage', 'Images', 'job_of', 'jobs_of', 'read_exam']
MAX_IMAGES = 32  # of one exam
MAX_EXAM_PIXELS = 4 * MAX_PIXELS  # of all its images, cropped
REWORDED = {  # messages of the preprocessing that name its options
    Reason.NOT_DICOM: 'neither a DICOM file nor a PNG or JPEG image',
    Reason.FOR_PROCESSING: 'raw detector values (For Processing); give the For Presentation image',
}
IMAGE_STARTS = (b'\x89PNG', b'\xff\xd8\xff')  # PNG, JPEG
USUAL_VIEWS = ('CC', 'MLO')


@dataclass(frozen=True, eq=False)
class ExamImage:
    """One image as the network takes it, before it is resized."""

    name: str  # of the file
    view: str  # CC, MLO or another one of mammo.preprocess.headers.VIEWS
    laterality: str  # L or R
    found_in: str  # what told side and view: 'header', 'given' or 'file name'
    pixels: NDArray[np.uint8]  # (H, W)
    scaled: bool  # to the pixel size of the training images, as far as there is one
    exam_order: float | None = None  # of its exam among those of the patient, if given


class Exam(NamedTuple):
    images: list[ExamImage]
    warnings: list[str]


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
        raise ExamError('NUMBER_OF_IMAGES', f'{len(jobs)} images; give 1 to {MAX_IMAGES} of one patient')
    read: list[ExamImage] = []
    items: list[dict[str, Any]] = []
    keys: dict[str, str] = {}
    for job in jobs:
        image, record = _read(job, settings, cropped_png)
        same = keys.setdefault(record['key'], job.source)
        if len(keys) == len(read):
            raise ExamError('DUPLICATE', f'{job.source} and {same} are the same image; give it once')
        read.append(image)
        if sum(i.pixels.size for i in read) > MAX_EXAM_PIXELS:
            text = f'more than {MAX_EXAM_PIXELS} pixels in one exam; give fewer or smaller images'
            raise ExamError('TOO_LARGE', text)
        items.append(record)
    patients = {record['patient_id'] for record in items} - {''}
    if len(patients) > 1:
        raise ExamError('MIXED_PATIENTS', f'these are images of {len(patients)} patients; give those of one')
    days = {record['day'] for record in items} - {None}
    if len(days) > 1:
        raise ExamError('MIXED_EXAMS', f'these are images of {len(days)} dates; give those of one exam')
    return Exam(read, _warnings(read, settings))


def _read(job: Job, settings: Settings, cropped_png: bool) -> tuple[ExamImage, dict[str, Any]]:
    """One image, and what tells whose it is, when it was taken and which it is."""
    header: Dataset | None = None
    try:
        if job.error is not None:
            raise job.error
        start = _start(job.path)
        if job.is_png or start.startswith(IMAGE_STARTS):
            pixels, scaled = _from_png(job, settings, cropped_png)
            own: dict[str, Any] = dict(patient_id=job.given.get('patient_id', ''), day=None, key='')
        else:
            header = dicom.read(job.path, header_only=True)
            patient = headers.text(header, 'PatientID') or job.given.get('patient_id', '')
            whose = dict(patient_id=patient or 'unknown')  # a calculator needs no name
            rendered = render(replace(job, given={**job.given, **whose}), header, settings)
            pixels, record = rendered.image, rendered.record
            scaled = 'spacing_mm' in record['item']
            own = dict(patient_id=patient, day=record['day'], key=record['sop'])
    except PreprocessError as error:
        message = REWORDED.get(error.reason, redact(error.message, header, settings.key))
        raise ExamError(str(error.reason), f'{job.source}: {message}') from None
    found = dict(view=headers.view(header), laterality=headers.laterality(header)) if header else {}
    side, view, source = side_and_view(job, found)
    own['key'] = own['key'] or hashlib.sha256(pixels.tobytes()).hexdigest()
    return ExamImage(job.source, view, side, source, pixels, scaled, job.given.get('exam_order')), own


def _from_png(job: Job, settings: Settings, cropped: bool) -> tuple[NDArray[np.uint8], bool]:
    """Pixels, and whether their size is right."""
    if not cropped:
        given = dict(patient_id='unknown') | job.given
        rendered = render(replace(job, given=given, is_png=True), None, settings)
        return rendered.image, 'spacing_mm' in rendered.record['item']
    try:
        image, bits = read_grey(job.path)
    except ImageFileError:
        raise PreprocessError(Reason.UNREADABLE, 'not a complete PNG or JPEG image') from None
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


def _warnings(images: list[ExamImage], settings: Settings) -> list[str]:
    warnings = []
    for (side, view), count in Counter((i.laterality, i.view) for i in images).items():
        if count > 1:
            warnings.append(f'{count} images show the {SIDES[side]} breast in {view}; all are used')
        if view not in USUAL_VIEWS:
            warnings.append(f'view {view} of the {SIDES[side]} breast is not one of {", ".join(USUAL_VIEWS)}')
    for side in sorted({i.laterality for i in images}):
        views = {i.view for i in images if i.laterality == side}
        if len(views) == 1:
            warnings.append(f'only one view of the {SIDES[side]} breast ({views.pop()})')
    unscaled = ', '.join(i.name for i in images if not i.scaled)
    if unscaled:
        size = f'{settings.spacing_mm:g} mm'
        warnings.append(
            f'pixel size unknown, so not brought to the {size} of the training images: {unscaled}'
        )
    guessed = ', '.join(i.name for i in images if i.found_in == 'file name')
    return warnings + ([f'side and view are from the file name: {guessed}'] if guessed else [])
