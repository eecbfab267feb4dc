"""One input to an upright grey image of known pixel size, and what its header or CSV row says.

Job, Settings -> Grey
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammo.preprocess import breast, dicom, display, headers
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs import Job
from mammo.preprocess.privacy import digest
from mammo.records.png import ImageFileError, read_grey


@dataclass(frozen=True)
class Settings:
    """What decides how an image looks; written to preprocess.json except for the key and the folder."""

    out_dir: Path
    spacing_mm: float = 0.0941
    voi: str | None = None
    for_processing: dicom.ForProcessing = 'refuse'
    flip_to: breast.Side | None = None  # side of the chest wall in every PNG; None leaves it
    key: bytes | None = None


@dataclass
class Grey:
    """An upright image before the crop, and what is known of it."""

    image: NDArray[np.float32]  # (H, W)
    from_source: NDArray[np.float64]  # (3, 3): source pixel (x, y, 1) -> pixel of ``image``
    spacing_mm: float | None
    item: dict[str, Any]  # fields of the meta item
    facts: dict[str, str]  # what preprocess.json counts
    sop: str = ''
    exams: tuple[str, ...] = ()
    day: int | None = None  # of the exam, shifted by a number of days that only the patient determines


def load(job: Job, header: Dataset | None, settings: Settings) -> Grey:
    """Read one input; ``header`` is that of a DICOM file, None for a PNG.

    Raises:
        PreprocessError: why it cannot be used.
    """
    if header is not None:
        return _from_dicom(job, header, settings)
    try:
        image, _ = read_grey(job.path)
    except ImageFileError:
        raise PreprocessError(Reason.UNREADABLE, 'not a complete PNG or JPEG image') from None
    size = job.given.get('spacing_mm')
    spacing = headers.Spacing(size, size, 'CSV') if size else None
    facts = dict(vendor=job.given.get('manufacturer', ''), syntax='PNG', photometric='', voi='none')
    return _upright(image.astype(np.float32), spacing, headers.Turn(False, 0), {}, facts, settings)


def _from_dicom(job: Job, header: Dataset, settings: Settings) -> Grey:
    dicom.check_usable(header, for_processing=settings.for_processing)
    patient = job.given.get('patient_id') or headers.text(header, 'PatientID')
    if not patient:
        raise PreprocessError(Reason.NO_PATIENT_ID, 'PatientID is empty; give patient_id in an input CSV')
    ds = dicom.read(job.path)
    shown = display.display_values(
        dicom.stored_values(ds), ds, voi=settings.voi, tone=dicom.is_for_processing(ds)
    )
    maker = headers.text(ds, 'Manufacturer')
    item = dict(
        patient_id=patient, view=headers.view(ds), laterality=headers.laterality(ds), manufacturer=maker
    )
    photometric = headers.text(ds, 'PhotometricInterpretation')
    facts = dict(
        vendor=maker, photometric=photometric, syntax=ds.file_meta.TransferSyntaxUID.name, voi=shown.rule
    )
    grey = _upright(shown.image, headers.spacing(ds), headers.turn(ds), item, facts, settings)
    grey.exams = tuple(filter(None, (headers.text(ds, 'StudyInstanceUID'), headers.text(ds, 'StudyID'))))
    grey.sop = digest('sop', headers.text(ds, 'SOPInstanceUID') or job.source, settings.key)
    grey.day = _shifted_day(headers.text(ds, 'StudyDate'), patient, settings.key)
    return grey


def _upright(
    image: NDArray[np.float32],
    spacing: headers.Spacing | None,
    turn: headers.Turn,
    item: dict[str, Any],
    facts: dict[str, str],
    settings: Settings,
) -> Grey:
    before = image.shape
    if spacing is not None:
        image = dicom.resample(image, spacing, settings.spacing_mm)
    facts['spacing'] = spacing.source if spacing else 'unknown, not resampled'
    matrix = dicom.to_upright(before, image.shape, turn)
    return Grey(dicom.upright(image, turn), matrix, settings.spacing_mm if spacing else None, item, facts)


def _shifted_day(date: str, patient: str, key: bytes | None) -> int | None:
    """Keeps the order of a patient's exams and hides their dates."""
    try:
        day = datetime.strptime(date, '%Y%m%d').toordinal()
    except ValueError:
        return None
    return day + int(digest('day', patient, key), 16) % 10_000
