"""The images of one exam, and what is odd about them, for who reads the answer.

images, pixel size of the training images, age that was given -> warnings
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mammo.inference.exam.views import SIDES
from mammo.preprocess.dicom.notes import NOTES

MAX_AGE_GAP_YEARS = 1.5  # between the image and today's form
USUAL_VIEWS = ('CC', 'MLO')


@dataclass(frozen=True, eq=False)
class ExamImage:
    """One image as the network takes it, before it is resized."""

    name: str  # of the file
    view: str  # CC, MLO or another one of mammo.preprocess.dicom.headers.VIEWS
    laterality: str  # L or R
    found_in: str  # what told side and view: 'header', 'given', 'free text' or 'file name'
    pixels: NDArray[np.uint8]  # (H, W)
    scaled: bool  # to the pixel size of the training images, as far as there is one
    sha256: str = ''  # of the file
    notes: tuple[str, ...] = ()  # codes of mammo.preprocess.dicom.notes.NOTES
    exam_order: float | None = None  # of its exam among those of the patient, if given


class Exam(NamedTuple):
    """The images of one patient, and what is odd about them."""

    images: list[ExamImage]
    warnings: list[str]
    ages: tuple[float, ...] = ()  # years, of the headers


def oddities(images: list[ExamImage], spacing_mm: float) -> list[str]:
    """What is odd about the images, in sentences; ``spacing_mm`` is the pixel size of the training images."""
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
        size = f'{spacing_mm:g} mm'
        warnings.append(
            f'pixel size unknown, so not brought to the {size} of the training images: {unscaled}'
        )
    for code in dict.fromkeys(code for image in images for code in image.notes):
        names = ', '.join(i.name for i in images if code in i.notes)
        warnings.append(f'{NOTES[code]}: {names}')
    for source in ('file name', 'free text'):
        guessed = ', '.join(i.name for i in images if i.found_in == source)
        warnings += [f'side and view are from the {source}: {guessed}'] if guessed else []
    return warnings


def contradicting_ages(exam: Exam, clinical_age: float | None) -> list[str]:
    """A warning where the age that was given is not that of the headers."""
    is_other = clinical_age is not None and any(
        abs(age - clinical_age) > MAX_AGE_GAP_YEARS for age in exam.ages
    )
    return ['the age that was given is not the one in the header of the images'] if is_other else []
