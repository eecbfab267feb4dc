"""One exam as a command line names it.

files, L_CC=FILE, NAME=VALUE -> Prediction
"""

from collections.abc import Sequence

from mammo.inference.exam import ExamError, job_of
from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor


def ask(
    predictor: Predictor,
    files: Sequence[str],
    views: Sequence[str],
    clinical: Sequence[str],
    tumor_side: str | None,
    cropped_png: bool | None,
) -> Prediction:
    """Score the images of one patient.

    Args:
        views: ``L_CC=FILE``, images whose side and view are given.
        clinical: ``NAME=VALUE``.

    Raises:
        UserError: the images or values are not those of one exam.
    """
    jobs = [job_of(path) for path in files]
    jobs += [job_of(path, name) for name, path in pairs(views, '--view')]
    values = pairs(clinical, '--clinical')
    if len(dict(values)) < len(values):
        raise ExamError('CLINICAL_NAME', f'a name stands twice in --clinical {list(clinical)}')
    return predictor.predict(jobs, dict(values), tumor_side=tumor_side, cropped_png=cropped_png)


def pairs(texts: Sequence[str], option: str) -> list[tuple[str, str]]:
    """``NAME=VALUE`` texts -> pairs."""
    named = [(name, value) for name, equals, value in (text.partition('=') for text in texts) if equals]
    if len(named) < len(texts):
        raise ExamError('USAGE', f'{option} {list(texts)}: expected NAME=VALUE')
    return named
