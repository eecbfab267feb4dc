"""The one rule which images speak for a patient, and how what they say is pooled (SPEC 8).

frame of images (patient_id, and as far as known laterality, tumor_side, exam_order) -> mask (n,); numbers of
images -> numbers of patients

Evaluation, the features of the fusion, and the answer for one exam all ask here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.errors import UserError, listed
from mammo.records.features import Features

SIDES = ('L', 'R')
VIEWS = ('CC', 'MLO')  # that networks of several views take, in this order, the left breast first
FIELDS = ('patient_id', 'laterality', 'tumor_side', 'exam_order')  # all that the rule looks at
POOLING = dict(binary='max', regression='mean')  # of the scores of a patient's images, by kind of task
FEATURE_POOLING = 'mean'  # of raw outputs that become inputs of the fusion


def speaking(images: pd.DataFrame, *, all_sides: bool = False, all_exams: bool = False) -> pd.Series:
    """Images that speak for their patient: of the tumor's side if that is known, of the latest exam of these.

    Args:
        images: a row per image; a column of FIELDS that is not there is unknown for all.
        all_sides: also the other breast.
        all_exams: also earlier exams.

    Raises:
        UserError: a value of exam_order is no number.

    Example:
        >>> exam = pd.DataFrame(dict(patient_id=['p', 'p'], laterality=['L', 'R'], tumor_side=['L', None]))
        >>> speaking(exam).tolist()
        [True, False]
    """
    kept = pd.Series(True, images.index) if all_sides else ~of_other_side(images)
    return kept if all_exams else kept & in_latest_exam(images, kept)


def speaking_items(items: Sequence[Mapping[str, Any]], **options: bool) -> NDArray[np.bool_]:
    """``speaking`` for records of images, such as those of a meta or prediction file."""
    frame = pd.DataFrame([{field: item.get(field) for field in FIELDS} for item in items], columns=FIELDS)
    return speaking(frame, **options).to_numpy(bool)


def of_other_side(images: pd.DataFrame) -> pd.Series:
    """Images of the breast without tumor; an image without ``tumor_side`` has that of its patient."""
    if 'tumor_side' not in images or 'laterality' not in images:
        return pd.Series(False, images.index)
    of_patient = images.groupby('patient_id').tumor_side.transform('first')
    side = of_patient.where(images.tumor_side.isna(), images.tumor_side)
    return side.isin(SIDES) & images.laterality.isin(SIDES) & (side != images.laterality)


def in_latest_exam(images: pd.DataFrame, among: pd.Series) -> pd.Series:
    """Images of the latest exam that has images ``among``; without order only where none has one."""
    if 'exam_order' not in images:
        return pd.Series(True, images.index)
    order = pd.to_numeric(images.exam_order, errors='coerce')
    wrong = order.isna() & images.exam_order.notna()
    if wrong.any():
        names = images.exam_order[wrong].astype(str) + ' of ' + images.patient_id[wrong].astype(str)
        raise UserError(f'exam_order: {int(wrong.sum())} values are no numbers: {listed(names)}')
    latest = order.where(among).groupby(images.patient_id).transform('max')
    return (order == latest) | latest.isna()


def shown_together(items: Sequence[Mapping[str, Any]], n_views: int) -> list[tuple[int | None, ...]]:
    """Images that a network of several views sees as one: of one patient and exam, CC and MLO.

    Of several images of one view each is seen once, beside the images of the others that are there.

    Args:
        items: patient_id, exam_id, view and laterality of each image.
        n_views: 1: each image alone; 2: those of a breast; 4: those of both.

    Returns:
        Numbers of the images in the order of VIEWS, with n_views=4 the left breast first; None: missing.

    Raises:
        UserError: an image has another view, or no side.

    Example:
        >>> views = [('CC', 'L'), ('MLO', 'L'), ('MLO', 'R')]
        >>> exam = [dict(patient_id='p', view=view, laterality=side) for view, side in views]
        >>> shown_together(exam, 2), shown_together(exam, 4)
        ([(0, 1), (None, 2)], [(0, 1, None, 2)])
    """
    if n_views == 1:
        return [(i,) for i in range(len(items))]
    odd = [str(item.get('img_path', i)) for i, item in enumerate(items)
           if item.get('view') not in VIEWS or item.get('laterality') not in SIDES]  # fmt: skip
    if odd:
        raise UserError(
            f'{len(odd)} images have no view of {", ".join(VIEWS)} or no side of {", ".join(SIDES)}, as a '
            f'network of {n_views} views needs them: {listed(odd)}; leave them out'
        )
    sides = {side: (side,) if n_views == len(VIEWS) else SIDES for side in SIDES}
    groups: dict[tuple, dict[tuple[str, str], list[int]]] = {}
    for i, item in enumerate(items):
        whose = (item.get('patient_id', i), item.get('exam_id'), sides[item['laterality']])
        groups.setdefault(whose, {}).setdefault((item['laterality'], item['view']), []).append(i)
    return [
        tuple(_at(group.get((side, view)), i) for side in whose[-1] for view in VIEWS)
        for whose, group in groups.items()
        for i in range(max(map(len, group.values())))
    ]


def _at(images: list[int] | None, i: int) -> int | None:
    """The image number i of a view, or the last of it."""
    return images[min(i, len(images) - 1)] if images else None


def of_patients(values: NDArray, patients: NDArray, how: str = FEATURE_POOLING) -> tuple[NDArray, NDArray]:
    """Numbers of images (n, k) and their patients (n,) -> numbers (p, k) and patients (p,), sorted."""
    pooled = pd.DataFrame(values).groupby(np.asarray(patients, str), sort=True).agg(how)
    return pooled.to_numpy(values.dtype), pooled.index.to_numpy(str)


def of_members(scores: NDArray, kind: str) -> NDArray:
    """Scores of one patient's images (n, members) -> of the members (members,).

    As their mean is pooled: the members of the image whose mean is highest, or the mean over images.
    """
    return scores[scores.mean(axis=1).argmax()] if POOLING[kind] == 'max' else scores.mean(axis=0)


def patient_features(
    x: NDArray[np.floating], images: list[dict[str, Any]], columns: list[str], aggregate: str, stage: str,
    **options: bool,
) -> Features:  # fmt: skip
    """Features of images (n, k), and what is known of each image -> features of patients.

    Raises:
        UserError: an image has no patient_id.
    """
    unnamed = [image.get('img_name') for image in images if image.get('patient_id') is None]
    if unnamed:
        text = f'{len(unnamed)} images have no patient_id: {listed(unnamed)}; write it into the meta file'
        raise UserError(text)
    patients = np.array([str(image['patient_id']) for image in images])

    def pooled(**options: bool) -> pd.DataFrame:
        kept = speaking_items(images, **options)
        values, ids = of_patients(x[kept], patients[kept], aggregate)
        return pd.DataFrame(values, ids, columns)

    sides = pd.Series([image.get('tumor_side') in SIDES for image in images], patients)
    description = dict(columns=columns, stage=stage, aggregate=aggregate)
    return Features(
        pooled(**options), pooled(**options | dict(all_sides=True)), sides.groupby(level=0).any(), description
    )
