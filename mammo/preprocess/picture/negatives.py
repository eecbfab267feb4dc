"""Images with a bright background: which way round their greys are.

Display or (H, W) image -> brighter = denser, or PreprocessError
"""

import numpy as np
from numpy.typing import NDArray

from mammo.preprocess.dicom.display import Display
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.picture.breast import bounds

BORDER_FRAC = 0.02  # of the sides: the strips that show background in a mammogram, but for the chest wall's
BRIGHT_FRAC, DARK_FRAC = 0.75, 0.25  # of the range: the backgrounds of a negative and of a positive
MIN_BRIGHT_SHARE = 0.3  # of the strips; a breast that fills two sides leaves half of them
FRAME_FRAC = 0.08  # of the sides: a frame is at most this wide; 548 of the 551 negatives show within it
MIN_LOOK_PX = 1000  # of the longer side; more tells no more of a background


def righted(
    displayed: Display, photometric: str, invert: str, *, may_have_frame: bool
) -> tuple[Display, bool]:
    """Turn a negative round if that is wanted; ``photometric`` of a table is taken at its word.

    Args:
        displayed: grey values.
        photometric: what a table says of them, '' if nothing.
        invert: 'auto' to turn a negative round.
        may_have_frame: a bright frame, as films have it, is no bright background.

    Returns:
        the image, brighter = denser, and whether it was inverted because of its look only.

    Raises:
        PreprocessError: INVERTED for a negative of which nothing is said.
    """
    if photometric or not _is_negative(displayed, may_have_frame):
        return displayed, False
    if invert != 'auto':
        raise PreprocessError(
            Reason.INVERTED,
            'bright background; say MONOCHROME1 or MONOCHROME2 in a column photometric, or use --invert auto',
        )
    image = np.where(displayed.padding, 0, displayed.image.max() - displayed.image)
    return displayed._replace(image=image), True


def _is_negative(displayed: Display, may_have_frame: bool) -> bool:
    y0, x0, y1, x1 = bounds(~displayed.padding)
    step = max(1, max(displayed.image.shape) // MIN_LOOK_PX)
    image = displayed.image[y0:y1:step, x0:x1:step]
    if not has_bright_border(image):
        return False
    rows, columns = (round(FRAME_FRAC * side) for side in image.shape)
    return not may_have_frame or has_bright_border(
        image[rows : image.shape[0] - rows, columns : image.shape[1] - columns]
    )


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
