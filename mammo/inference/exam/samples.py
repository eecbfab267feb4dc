"""Which images of one exam decide, and which the network sees as one.

images of an exam -> mask, or samples as tuples of places
"""

from mammo.errors import UserError
from mammo.inference.exam.images import ExamImage
from mammo.inference.refusals import ExamError, Refusal
from mammo.patients import shown_together, speaking_items


def used_images(images: list[ExamImage], tumor_side: str | None) -> list[bool]:
    """Which images of one exam decide; see mammo.patients."""
    rows = [
        dict(patient_id='', laterality=i.laterality, tumor_side=tumor_side, exam_order=i.exam_order)
        for i in images
    ]
    return speaking_items(rows).tolist()


def together(images: list[ExamImage], n_views: int) -> list[tuple[int | None, ...]]:
    """Images that the network sees as one; see :func:`mammo.patients.shown_together`.

    Raises:
        ExamError: an image is of no view that a network of several views takes.
    """
    rows = [
        dict(patient_id='', exam_id=i.exam_order, view=i.view, laterality=i.laterality, img_path=i.name)
        for i in images
    ]
    try:
        return shown_together(rows, n_views)
    except UserError as error:
        raise ExamError(Refusal.OTHER_VIEW, str(error)) from None


def one_each(samples: list[tuple[int | None, ...]], used: list[bool]) -> list[bool]:
    """Of each sample one of its images that decide: they have one score, which counts once.

    Example:
        >>> one_each([(0, 1), (2, 1)], [True, True, True])
        [True, False, True]
    """
    seen: set[int | None] = {None}
    counted = [False] * len(used)
    for sample in samples:
        deciding = [i for i in sample if i not in seen and i is not None and used[i]]
        seen.update(sample)
        for i in deciding[:1]:
            counted[i] = True
    return counted
