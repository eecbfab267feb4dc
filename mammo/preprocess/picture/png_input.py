"""PNG and JPEG exports.

Job -> grey values (H, W), inverted if its row says so
"""

import numpy as np
from numpy.typing import NDArray

from mammo.preprocess.dicom.display import Display
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.job import Job
from mammo.records.storage.png import ImageFileError, TooLargeError, read_grey


def grey_values(job: Job) -> Display:
    """Read a file, and invert it where its row says MONOCHROME1.

    Raises:
        PreprocessError: UNREADABLE or TOO_LARGE.
    """
    image = _read(job)
    if job.fields.get('photometric') == 'MONOCHROME1':
        image = image.max() - image
    return Display(image, 'none', np.zeros(image.shape, bool))


def _read(job: Job) -> NDArray[np.float32]:
    if not job.path.exists():
        raise PreprocessError(Reason.UNREADABLE, 'no such file')
    try:
        return read_grey(job.path)[0].astype(np.float32)
    except ImageFileError as error:
        reason = Reason.TOO_LARGE if isinstance(error, TooLargeError) else Reason.UNREADABLE
        raise PreprocessError(reason, str(error).removeprefix(f'{job.path}: ')) from None
