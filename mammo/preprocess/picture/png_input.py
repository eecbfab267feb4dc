"""PNG and JPEG exports: which way round their greys are.

Job -> grey values (H, W), brighter = denser
"""

import numpy as np
from numpy.typing import NDArray

from mammo.preprocess.dicom.display import Display
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.inputs.job import Job
from mammo.records.storage.png import ImageFileError, TooLargeError, read_grey

BORDER_FRAC = 0.02  # of the sides: the strips that show background in a mammogram, but for the chest wall's
BRIGHT_FRAC, DARK_FRAC = (
    0.75,
    0.25,
)  # of the range of the image: the backgrounds of a negative and of a positive
MIN_BRIGHT_SHARE = 0.3  # of the strips; a breast that fills two sides leaves half of them


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
    """Whether more of the strips along the sides is bright than dark. (H, W) -> bool

    Of 3383 images of RSNA 2022 it names the 551 negatives and no other.
    """
    height, width = (max(1, round(BORDER_FRAC * side)) for side in image.shape)
    low, high = np.percentile(image, (1, 99))
    strips = (image[:height], image[-height:], image[:, :width], image[:, -width:])
    levels = (np.concatenate([strip.ravel() for strip in strips]) - low) / max(high - low, 1e-6)
    bright = np.mean(levels > BRIGHT_FRAC)
    return bool(high > low and bright > MIN_BRIGHT_SHARE and bright > np.mean(levels < DARK_FRAC))


def _read(job: Job) -> NDArray[np.float32]:
    if not job.path.exists():
        raise PreprocessError(Reason.UNREADABLE, 'no such file')
    try:
        return read_grey(job.path)[0].astype(np.float32)
    except TooLargeError as error:
        raise PreprocessError(Reason.TOO_LARGE, str(error).removeprefix(f'{job.path}: ')) from None
    except ImageFileError:
        raise PreprocessError(Reason.UNREADABLE, 'not a complete PNG or JPEG image') from None
