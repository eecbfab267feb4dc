"""One input to one PNG and its meta item, or to one reason why not.

Job, Settings -> record (a dict that JSON can hold) and OUT/png/*.png, OUT/thumbs/*.png
"""

import errno
import logging
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammo.preprocess import breast, dicom, display
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.grey import Grey, Settings, load
from mammo.preprocess.inputs import Job
from mammo.preprocess.privacy import pseudonym, redact
from mammo.records.files import replacing

logger = logging.getLogger(__name__)
THUMB_PX = (240, 960)  # height, and at most this width
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Rendered(NamedTuple):
    """What becomes of a good input."""

    image: NDArray[np.uint8]  # (h, w), the crop
    thumb: NDArray[np.uint8]  # (h, w) of THUMB_PX at most, the whole image
    record: dict[str, Any]


def process(job: Job, settings: Settings) -> dict[str, Any]:
    """Make the PNG and the thumbnail of one input.

    Returns:
        dict: ``source``, ``signature``, and either ``item``, ``facts``, ``sop``, ``exams``, ``day``,
        ``frame`` or ``reason`` and ``message``. Every failure becomes a reason.
    """
    cv2.setNumThreads(1)  # one image per process
    record: dict[str, Any] = dict(source=job.source, signature=signature(job))
    ds = None
    try:
        if job.error is not None:
            raise job.error
        if not job.is_png:
            ds = dicom.read(job.path, header_only=True)
        image, thumb, parts = render(job, ds, settings)
        for folder, pixels in (('png', image), ('thumbs', thumb)):
            write_png(settings.out_dir / folder / f'{job.id(settings.key)}.png', pixels)
        record |= parts
    except PreprocessError as error:
        record |= dict(reason=str(error.reason), message=error.message)
    except OSError as error:
        full = error.errno in FULL_DISK
        record |= dict(
            reason=str(Reason.DISK_FULL if full else Reason.UNREADABLE), message=f'{error.strerror}'
        )
    except Exception as error:  # one bug must not end a run of a hundred thousand files
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f'{type(error).__name__} at {Path(place.filename).name}:{place.lineno}'
        logger.error('%s; please report this', message)
        record |= dict(reason=str(Reason.INTERNAL), message=message)
    if 'message' in record:
        record['message'] = redact(record['message'], ds, settings.key)
    if settings.key:  # without a key ids stand as they are, and so do the paths that users named
        record['source'] = redact(job.source, ds, settings.key)
    if 'item' in record:
        record['item']['source'] = record['source']
    return record | dict(id=job.id(settings.key), file=job.file_id(settings.key))


def signature(job: Job) -> list[int]:
    """Size and time of change; a resumed run redoes an input whose signature is another."""
    try:
        status = job.path.stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns]


def render(job: Job, header: Dataset | None, settings: Settings) -> Rendered:
    """Crop and scale one input, and make its record; writes nothing.

    Raises:
        PreprocessError: the only exception for whatever a file may hold.
    """
    try:
        return _render(load(job, header, settings), job, settings)
    except breast.NoBreastError as error:
        raise PreprocessError(Reason.NO_BREAST, str(error)) from None
    except (MemoryError, cv2.error) as error:
        memory = isinstance(error, MemoryError) or 'nsufficient memory' in str(error)
        reason, what = (
            (Reason.TOO_LARGE, 'not enough memory') if memory else (Reason.INTERNAL, 'OpenCV fails')
        )
        raise PreprocessError(reason, f'{what} for this image') from None


def _render(grey: Grey, job: Job, settings: Settings) -> Rendered:
    vendor = job.given.get('manufacturer') or grey.item.get('manufacturer') or 'default'
    mask = breast.breast_mask(grey.image, vendor=vendor, spacing_mm=grey.spacing_mm)
    box = y0, x0, y1, x1 = breast.breast_box(mask, vendor=vendor, spacing_mm=grey.spacing_mm)
    image = display.to_uint8(grey.image, mask)[y0:y1, x0:x1]
    mirrored = settings.flip_to is not None and breast.chest_wall_side(mask) != settings.flip_to
    name = f'{job.id(settings.key)}.png'
    given = {k: v for k, v in job.given.items() if k != 'spacing_mm'}
    item = grey.item | given | dict(spacing_mm=grey.spacing_mm, mirrored=mirrored or None)
    exams = (given['exam_id'],) if 'exam_id' in given else grey.exams
    exams = tuple(pseudonym('exam', exam, settings.key) for exam in exams)
    matrix = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]]) @ grey.from_source
    if mirrored:
        matrix = np.array([[-1, 0, x1 - x0 - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
    item['from_source'] = [[round(float(number), 6) for number in row] for row in matrix[:2]]
    if 'lesions' in item:
        item['lesions'] = [_placed(disc, matrix) for disc in item['lesions']]
    item['patient_id'] = pseudonym('patient', item['patient_id'], settings.key)
    item |= dict(
        spacing_source=grey.facts['spacing'],
        exam_id=exams[0] if exams else None,
        clinic_vars=given.get('clinic_vars') or None,
    )
    item = {k: v for k, v in item.items() if v not in (None, '')}
    facts = grey.facts | {name: item.get(name, 'unknown') for name in ('view', 'laterality')}
    frame = dict(height=grey.image.shape[0], width=grey.image.shape[1], box=[int(edge) for edge in box])
    item = dict(img_path=f'png/{name}', gt_label={}, **item)
    record = dict(item=item, facts=facts, sop=grey.sop, exams=exams, day=grey.day, frame=frame)
    return Rendered(image[:, ::-1] if mirrored else image, _thumb(grey.image), record)


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
