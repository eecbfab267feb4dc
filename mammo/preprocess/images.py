"""One input to one PNG and its meta item, or to one reason why not.

Job, Settings -> record (a dict that JSON can hold) and OUT/png/*.png, OUT/thumbs/*.png
"""

import logging
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammo.errors import FULL_DISK
from mammo.preprocess.description import Description, describe
from mammo.preprocess.dicom import display, pixels, reader
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.picture import breast, png_input
from mammo.preprocess.picture.hanging import Upright, hung
from mammo.preprocess.picture.negatives import righted
from mammo.preprocess.picture.two_breasts import shows_two
from mammo.preprocess.privacy import HIDDEN, names_somebody, pseudonym, redact
from mammo.preprocess.settings import Settings
from mammo.records.storage.files import replacing

logger = logging.getLogger(__name__)
FOLDERS = ('png', 'thumbs')
THUMB_PX = (240, 960)  # height, and at most this width


class Rendered(NamedTuple):
    """What becomes of a good input."""

    image: NDArray[np.uint8]  # (h, w), the crop
    thumb: NDArray[np.uint8]  # (h, w) of THUMB_PX at most, the whole image
    record: dict[str, Any]


def process(job: Job, settings: Settings) -> dict[str, Any]:
    """Make the PNG and the thumbnail of one input.

    Returns:
        dict: ``source``, ``signature``, and either ``item``, ``facts``, ``sop``, ``exams``, ``day``,
        ``frame`` and ``person`` (which stays in memory), or ``reason`` and ``message``. Every failure
        becomes a reason.
    """
    cv2.setNumThreads(1)  # one image per process
    record: dict[str, Any] = dict(source=job.name(settings.key), signature=job.signature(settings.key))
    header = None
    try:
        if job.error is not None:
            raise job.error
        if not job.is_png:
            header = reader.read(job.path, header_only=True)
        image, thumb, parts = render(job, header, settings)
        for folder, picture in zip(FOLDERS, (image, thumb), strict=True):
            write_png(settings.out_dir / folder / f'{job.id(settings.key)}.png', picture)
        record |= parts
        record['item']['source'] = record['source']
    except PreprocessError as error:
        record |= dict(reason=str(error.reason), message=error.message)
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno in FULL_DISK else Reason.UNREADABLE
        record |= dict(reason=str(reason), message=f'{error.strerror}')
    except Exception as error:  # one bug must not end a run of a hundred thousand files
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f'{type(error).__name__} at {Path(place.filename).name}:{place.lineno}'
        logger.error('%s; please report this', message)
        record |= dict(reason=str(Reason.INTERNAL), message=message)
    if 'message' in record:
        record['message'] = redact(record['message'], header, settings.key)
    return record | dict(id=job.id(settings.key), file=job.file_id(settings.key))


def render(job: Job, header: Dataset | None, settings: Settings) -> Rendered:
    """Crop and scale one input, and make its record; writes nothing.

    Raises:
        PreprocessError: the only exception for whatever a file may hold.
    """
    try:
        return _render(job, header, settings)
    except breast.NoBreastError as error:
        raise PreprocessError(Reason.NO_BREAST, str(error)) from None
    except (MemoryError, cv2.error) as error:
        if isinstance(error, MemoryError) or 'nsufficient memory' in str(error):
            raise PreprocessError(Reason.TOO_LARGE, 'not enough memory for this image') from None
        raise PreprocessError(Reason.INTERNAL, 'OpenCV fails for this image') from None


def _render(job: Job, header: Dataset | None, settings: Settings) -> Rendered:
    """The whole way of an image, step by step."""
    description = describe(job, header, settings)
    displayed = _displayed(job, header, description, settings)
    vendor = description.item.get('manufacturer') or 'default'
    upright, mask = hung(displayed, description, vendor, settings)
    if shows_two(upright.image, vendor=vendor, spacing_mm=upright.spacing_mm):
        _keep_or_refuse(description, Reason.TWO_BREASTS, settings)
    box = y0, x0, y1, x1 = breast.breast_box(mask, vendor=vendor, spacing_mm=upright.spacing_mm)
    image = display.to_uint8(upright.image, mask)[y0:y1, x0:x1]
    is_mirrored = settings.flip_to is not None and breast.chest_wall_side(mask) != settings.flip_to
    matrix = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]]) @ upright.from_source
    if is_mirrored:
        matrix = np.array([[-1, 0, x1 - x0 - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
    record = _record(job, description, upright, matrix, settings)
    record['item']['mirrored'] = is_mirrored or None
    record['item'] = {name: value for name, value in record['item'].items() if value not in (None, '')}
    record['frame'] = dict(
        height=upright.image.shape[0], width=upright.image.shape[1], box=[int(edge) for edge in box]
    )
    return Rendered(image[:, ::-1] if is_mirrored else image, _thumb(upright.image), record)


def _displayed(
    job: Job, header: Dataset | None, description: Description, settings: Settings
) -> display.Display:
    """Grey values as a reader would see them, brighter = denser."""
    photometric = job.fields.get('photometric', '')
    if header is None:
        displayed = png_input.grey_values(job)
    else:
        ds = reader.read(job.path)
        ds.PhotometricInterpretation = photometric or ds.PhotometricInterpretation
        displayed = display.display_values(
            pixels.stored_values(ds), ds, voi=settings.voi, tone=reader.is_for_processing(ds)
        )
        if settings.voi is not None and not display.has_view(ds, settings.voi):
            description.notes.append('VOI')
        description.facts['voi'] = HIDDEN if names_somebody(displayed.rule, ds) else displayed.rule
    displayed, is_inverted = righted(
        displayed, photometric, settings.invert, may_have_frame=header is not None
    )
    description.item['inverted'] = is_inverted or None
    return displayed


def _keep_or_refuse(description: Description, reason: Reason, settings: Settings) -> None:
    if reason not in settings.keep:
        raise PreprocessError(reason, 'two breasts side by side; cut them apart')
    description.item['kinds'] = [*(description.item.get('kinds') or []), reason]


def _record(
    job: Job, description: Description, upright: Upright, matrix: NDArray[np.float64], settings: Settings
) -> dict[str, Any]:
    key = settings.key
    exams = tuple(pseudonym('exam', exam, key) for exam in description.exams)
    item = dict(img_path=f'png/{job.id(key)}.png', gt_label={}, **description.item)
    item |= dict(
        patient_id=pseudonym('patient', item['patient_id'], key),
        exam_id=exams[0] if exams else None,
        spacing_mm=upright.spacing_mm,
        spacing_source=description.spacing.source if description.spacing else 'unknown, not resampled',
        from_source=[[round(float(number), 6) for number in row] for row in matrix[:2]],
        clinic_vars=item.get('clinic_vars') or None,
        notes=description.notes or None,
    )
    if 'lesions' in item:
        item['lesions'] = [_placed(disc, matrix) for disc in item['lesions']]
    facts = description.facts | dict(spacing=item['spacing_source'])
    facts |= {name: item.get(name) or 'unknown' for name in ('view', 'laterality')}
    return dict(
        item=item,
        facts=facts,
        sop=description.sop,
        exams=exams,
        day=description.day,
        person=description.person,
    )


def _placed(disc: list[float], matrix: NDArray[np.float64]) -> list[float]:
    """Disc [x, y, radius] of the source -> the same on the crop."""
    (x, y, _), scale = matrix @ (disc[0], disc[1], 1), np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    return [round(float(number), 3) for number in (x, y, disc[2] * scale)]


def _thumb(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    scale = min(limit / size for limit, size in zip(THUMB_PX, image.shape, strict=True))
    height, width = (max(1, round(size * scale)) for size in image.shape)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.normalize(small, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a grey image (H, W), whole or not at all."""
    with replacing(path) as tmp:
        tmp.write_bytes(cv2.imencode('.png', np.ascontiguousarray(image))[1].tobytes())
