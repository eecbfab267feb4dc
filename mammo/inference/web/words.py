"""The sentences of the calculator: what tasks are called, and what to do about each problem.

name of a task -> words; reason of an ExamError -> advice; name and score -> text
"""

from mammo.inference.prediction import Score
from mammo.preprocess.errors import KEEPABLE

TASKS = dict(
    N='lymph-node metastasis',
    LVI='lymphovascular invasion',
    NumPos='number of positive lymph nodes',
    tumor_size='tumor size',
)
SIDES = {'': 'unknown', 'L': 'left', 'R': 'right'}
SLOTS = dict(L_CC='Left CC', L_MLO='Left MLO', R_CC='Right CC', R_MLO='Right MLO')
MEASURES = dict(
    sensitivity='Positive patients found (sensitivity)',
    reduction_rate='All patients below the threshold',
    npv='Of those below, truly negative (NPV)',
)
KIND = 'Give the mammograms as DICOM files of type For Presentation, or as PNG or JPEG images.'
AGAIN = 'Export the image again, then choose it once more.'
OTHER = 'Take this file out, and choose the others again.'
SLOT = 'Choose the file under "Files that do not say side and view", in the place of its side and view.'
ADVICE = dict(
    NUMBER_OF_IMAGES='Choose the images of one exam; usually these are four: CC and MLO of both breasts.',
    MISSING_VIEW=SLOT,
    BAD_VIEW=SLOT,
    CONTRADICTION='Choose the file in the place that its header names, or under "Image files".',
    DUPLICATE='Choose each file once.',
    MIXED_PATIENTS='Choose files of one patient only.',
    MIXED_EXAMS='Choose files of one exam only.',
    NO_TUMOR_SIDE='Add images of that breast, or set the side of the tumor to unknown.',
    BAD_SIDE='Choose unknown, left or right.',
    CLINICAL_NAME='Use the form of this page; it has all variables of this bundle.',
    CLINICAL_VALUE='Correct the fields that are named, or leave them unknown.',
    FIELD='Use the form of this page.',
    NOT_DICOM=KIND,
    NOT_MAMMOGRAM=KIND,
    NO_PIXELS=KIND,
    COLOUR=KIND,
    QUALITY_IMAGE=KIND,
    MULTI_FRAME='Give the two-dimensional images; tomosynthesis is not supported.',
    FOR_PROCESSING='Ask for the For Presentation version of the image; the workstation shows it.',
    NO_BREAST='Look at the image: it seems to be empty, or to show something else. ' + OTHER,
    TOO_LARGE=OTHER,
    EMPTY_FILE=AGAIN,
    UNREADABLE=AGAIN,
    TRUNCATED=AGAIN,
    DECODE_FAILED='Export the image again without compression, then choose it once more.',
    BAD_HEADER=AGAIN,
    INVERTED='Invert the image, so that dense tissue is bright, then choose it once more.',
    STUDY_OF_TWO_PATIENTS='Choose files of one patient only.',
    **dict.fromkeys(map(str, KEEPABLE), 'Give the routine views of each breast, CC and MLO. ' + OTHER),
    INTERNAL='This may be an error of the program. Please report it to who runs this calculator.',
)  # fmt: skip
STATUS = {
    400: 'The request cannot be read',
    403: 'This request came from another page',
    404: 'There is no such page',
    405: 'This page takes no such request',
    408: 'The upload took too long',
    413: 'The upload is too large',
    421: 'Unknown host name',
    500: 'Something went wrong',
    503: 'The calculator is busy',
}


def task_words(name: str) -> str:
    """
    Example:
        >>> task_words('N'), task_words('grade_3')
        ('lymph-node metastasis', 'grade 3')
    """
    return TASKS.get(name, name.replace('_', ' '))


def sentence(text: str) -> str:
    """A text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def quantity(score: Score, value: float) -> str:
    """A prob in percent, or a value of a regression task."""
    return f'{value:.1%}' if score.kind == 'binary' else f'{value * score.scale:.3g} {score.unit}'.strip()


def lead(score: Score) -> str:
    """The one number to show: calibrated prob, or value in its unit."""
    return f'{score.lead:.1%}' if score.kind == 'binary' else f'{score.lead:.3g} {score.unit}'.strip()


def share(estimate: dict | None) -> str:
    """An estimate of decision.json in percent, with its interval."""
    if not estimate or estimate.get('value') is None:
        return 'unknown'
    text = f'{estimate["value"]:.0%}'
    if estimate.get('ci_low') is None:
        return text
    return f'{text} ({estimate["ci_low"]:.0%} to {estimate["ci_high"]:.0%})'


def level_words(level: str, kind: str) -> str:
    """A level as the form shows it; 0 and 1 of a binary variable with their meaning."""
    return {'0': '0: no, negative', '1': '1: yes, positive'}.get(level, level) if kind == 'binary' else level
