"""The words of the calculator: what tasks, sides and numbers are called.

name of a task -> words; score, value -> text
"""

from mammo.inference.prediction import Score

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


def level_words(level: str, kind: str) -> str:
    """A level as the form shows it; 0 and 1 of a binary variable with their meaning."""
    return {'0': '0: no, negative', '1': '1: yes, positive'}.get(level, level) if kind == 'binary' else level
