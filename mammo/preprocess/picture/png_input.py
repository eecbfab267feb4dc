"""PNG and JPEG exports: which way round their greys are.

Job -> grey values (H, W), brighter = denser
"""

import numpy as np
from numpy.typing import NDArray

from mammo.preprocess.dicom.display import Display
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.jobs import Job
from mammo.records.png import ImageFileError, TooLargeError, read_grey

BORDER_FRAC = 0.02  # of the sides: the strips that show background in a mammogram, but for the chest wall's
BRIGHT_FRAC = 0.75  # of the range of the image: a background as bright as this is that of a negative
MIN_BRIGHT_SIDES = 3


def grey_values(job: Job, invert: str) -> tuple[Display, bool]:
    """Read a file, and invert it where its row says MONOCHROME1, or it is a negative and that is wanted.

    Returns:
        the grey values, and whether they were inverted because of the look of the picture only.

    Raises:
        PreprocessError: UNREADABLE, TOO_LARGE, or INVERTED for a negative of which nothing is said.
    """
    image = _read(job)
    photometric = job.given.get('photometric', '')
    looks_inverted = not photometric and has_bright_border(image)
    if looks_inverted and invert != 'auto':
        raise PreprocessError(
            Reason.INVERTED,
            'bright background; say MONOCHROME1 or MONOCHROME2 in a column photometric, or use --invert auto',
        )
    if looks_inverted or photometric == 'MONOCHROME1':
        image = image.max() - image
    return Display(image, 'none', np.zeros(image.shape, bool)), looks_inverted


def has_bright_border(image: NDArray[np.float32]) -> bool:
    """Whether the strips along the sides are about as bright as the image gets. (H, W) -> bool"""
    height, width = (max(1, round(BORDER_FRAC * side)) for side in image.shape)
    low, high = np.percentile(image, (1, 99))
    strips = (image[:height], image[-height:], image[:, :width], image[:, -width:])
    bright = [np.median(strip) > low + BRIGHT_FRAC * (high - low) for strip in strips]
    return bool(high > low and sum(bright) >= MIN_BRIGHT_SIDES)


def _read(job: Job) -> NDArray[np.float32]:
    if not job.path.exists():
        raise PreprocessError(Reason.UNREADABLE, 'no such file')
    try:
        return read_grey(job.path)[0].astype(np.float32)
    except TooLargeError as error:
        raise PreprocessError(Reason.TOO_LARGE, str(error).removeprefix(f'{job.path}: ')) from None
    except ImageFileError:
        raise PreprocessError(Reason.UNREADABLE, 'not a complete PNG or JPEG image') from None
