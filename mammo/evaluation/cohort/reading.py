"""Predictions to patients: fold mean per image, then one score per patient, with a count of who was left out.

prediction files or a cross-validation folder -> one row per patient: score, label, fold, further columns
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mammo.errors import listed
from mammo.leaks import Traces, traces_of
from mammo.patients import SIDES, speaking
from mammo.records.folds import PARTS
from mammo.records.ids import is_nobody
from mammo.records.predictions import FORMS, PredictionError, read_predictions
from mammo.records.storage.files import sha256_of

IMAGE_KEY = ['fold', 'patient_id', 'exam_id', 'img_path']


class Patients(NamedTuple):
    """One model's patients."""

    table: pd.DataFrame  # index patient_id (and fold); score, label (NaN: unknown), further columns
    flow: dict[str, int]  # images and patients at each step, in order
    sources: list[dict[str, str]]  # path and sha256 of every file read
    traces: dict[str, Traces] = {}  # by fold: all images and studies, used or not
    ranges: dict[str, tuple[float, float]] = {}  # lowest and highest score of every file


def read_patients(
    paths: Sequence[str | os.PathLike],
    task: str,
    aggregate: str = 'max',
    all_sides: bool = False,
    all_exams: bool = False,
    part: str = 'test',
    patient_label: str = 'same',
    unit: str = 'patient',
) -> Patients:
    """Read one model's predictions and bring them to patients (SPEC 8).

    Args:
        paths: prediction files of ensemble members or folds, or folders ``<outer>/<inner>/<part>.json``
            (or .pkl, .csv) of a cross-validation.
        aggregate: ``max`` or ``mean`` over a patient's images.
        all_sides: also use images of the other side than ``tumor_side``.
        all_exams: also use earlier exams.
        part: which file of a cross-validation folder to read.
        patient_label: ``same``: all images of a patient carry her label; ``max``: the highest of theirs is,
            for sets labelled by breast or by image.
        unit: ``breast``: a row per breast, whose index is the id and the side, and a column ``woman``.
    """
    files = list(prediction_files(paths, part))
    tables = {str(file): _read(file, fold, task) for file, fold in files}
    rows = pd.concat(tables.values())
    if part == 'test':
        rows = _outside_merged(rows)
        _refuse_partial(rows)
    every = _one_score_per_image(rows)
    if unit == 'breast':
        every, all_sides = _by_breast(every), True
    images = every[every.score.notna()]
    flow = dict(
        prediction_files=len(files),
        images=len(every),
        patients_with_images=every.patient_id.nunique(),
        images_without_task=len(every) - len(images),
    )
    kept = images[speaking(images, all_sides=all_sides, all_exams=True)]
    flow['images_of_the_other_side'] = len(images) - len(kept)
    latest = images[speaking(images, all_sides=all_sides, all_exams=all_exams)]
    flow['images_of_earlier_exams'] = len(kept) - len(latest)
    table = _one_row_per_patient(latest, aggregate, patient_label)
    flow |= dict(
        images_used=len(latest),
        patients_without_usable_image=flow['patients_with_images'] - table.index.nunique(),
    )
    labelled = table.label.notna()
    flow |= dict(
        patients_without_label=table[~labelled].index.nunique(), patients=table[labelled].index.nunique()
    )
    sources = [dict(path=str(file), sha256=sha256_of(file)) for file, _ in files]
    traces = {str(fold): traces_of(part.to_dict('records')) for fold, part in rows.groupby('fold')}
    ranges = {file: (part.score.min(), part.score.max()) for file, part in tables.items()}
    return Patients(table, flow, sources, traces, ranges)


def _by_breast(images: pd.DataFrame) -> pd.DataFrame:
    """A breast in the place of a patient; the latest exam of each is kept, whatever the other has."""
    sided = images.laterality.isin(SIDES)
    unknown = ~sided & images.score.notna()
    _refuse('predictions', unknown, images.img_path, 'images have no side (--unit breast)')
    breast = (images.patient_id + ' ' + images.laterality.where(sided, '')).where(sided)  # none: no breast
    return images.assign(woman=images.patient_id, patient_id=breast)


def prediction_files(paths: Sequence[str | os.PathLike], part: str) -> Iterator[tuple[Path, str]]:
    """Files of one model, each with its outer fold ('' without)."""
    for path in map(Path, paths):
        if not path.is_dir():
            yield path, ''
            continue
        part_files = sorted(file for file in path.glob(f'*/*/{part}.*') if file.suffix in FORMS)
        twice = [file for file, other in itertools.pairwise(part_files) if file.parent == other.parent]
        if not part_files or twice:
            wrong = f'{twice[0]} has a twin of another suffix' if twice else 'there is none'
            raise PredictionError(
                f'{path}: expected one <outer>/<inner>/{part}.json, .pkl or .csv per fold; {wrong}'
            )
        folds = {file.parent for file in path.glob('*/*/*') if file.stem in PARTS and file.suffix in FORMS}
        lacking = sorted(folds - {file.parent for file in part_files})
        if lacking and part == 'test':  # what lacks of development is named with its outer fold
            raise PredictionError(
                f'{path}: {listed(lacking)} have predictions, but none of the {part} part; predict it, or '
                'take these folders out'
            )
        yield from ((file, file.parent.parent.name) for file in part_files)


def _read(path: Path, fold: str, task: str) -> pd.DataFrame:
    records = read_predictions(path)
    if not any(task in record['tasks'] for record in records):
        raise PredictionError(f'{path}: none of {len(records)} records has task {task!r}; check --task')
    frame = pd.DataFrame([_row(record, task) | dict(fold=fold) for record in records]).astype(
        {'fold': str, 'score': float, 'label': float}
    )
    frame['exam_id'] = frame.exam_id.fillna('')
    _refuse(
        path,
        frame.patient_id.fillna('').map(is_nobody),
        frame.img_path,
        'records have no patient_id (write it into the meta file)',
    )
    # NOTE[DIFF]: ids are explicit; the published code cut them out of file names
    named = frame.patient_id + ' ' + frame.exam_id + ' ' + frame.img_path
    _refuse(path, frame.duplicated(IMAGE_KEY), named, 'records are there twice (drop the copies)')
    return frame


def _row(record: dict[str, Any], task: str) -> dict[str, Any]:
    """Score and label of the task; labels of the others beside what is known of the image, for subgroups."""
    of_task = record['tasks'].get(task, {})
    labels = {other: values['gt_label'] for other, values in record['tasks'].items() if other != task}
    of_image = {key: value for key, value in record.items() if key != 'tasks'}
    return labels | of_image | dict(score=of_task.get('pred_score'), label=of_task.get('gt_label'))


def _outside_merged(rows: pd.DataFrame) -> pd.DataFrame:
    """A test patient of every outer fold belongs to an outside test set, and to no fold.

    One of several, like all others, was tested once in each repeat of a cross-validation.
    """
    n_folds = rows.groupby('patient_id').fold.nunique()
    odd = n_folds[n_folds != n_folds.mode()[0]]
    problem = 'patients are in the test part of more, or of fewer, outer folds than the others'
    _refuse('test parts', odd > 0, odd.index.to_series(), problem)
    outside = n_folds.iloc[0] == rows.fold.nunique()
    return rows.assign(fold='') if outside else rows


def _refuse_partial(rows: pd.DataFrame) -> None:
    """The mean of an ensemble is of the same models for every image; files of folds share none."""
    n_files = rows.groupby(IMAGE_KEY).score.transform('count')
    most = n_files.groupby(rows.fold).transform('max')
    what = 'images are in fewer of the files than others (models of an ensemble score all, folds share none)'
    _refuse('predictions', rows.score.notna() & (n_files < most), rows.patient_id + ' ' + rows.img_path, what)


def _one_score_per_image(rows: pd.DataFrame) -> pd.DataFrame:
    labels = rows.groupby(IMAGE_KEY).label.nunique()
    _refuse('predictions', labels > 1, labels.index.to_series().astype(str), 'images have differing labels')
    first = {column: 'first' for column in rows.columns if column not in (*IMAGE_KEY, 'score')}
    return rows.groupby(IMAGE_KEY, sort=False).agg({'score': 'mean', **first}).reset_index()


def _one_row_per_patient(images: pd.DataFrame, aggregate: str, label: str) -> pd.DataFrame:
    if label == 'max':
        images = images.assign(label=images.groupby(['fold', 'patient_id']).label.transform('max'))
    patients = images.groupby(['fold', 'patient_id'], sort=True)
    labels = images.groupby('patient_id').label.nunique()
    _refuse(
        'predictions',
        labels > 1,
        labels.index.to_series(),
        'patients have differing labels (one per patient; --patient-label max takes the highest)',
    )
    table = patients.first().assign(score=patients.score.agg(aggregate), n_images=patients.size())
    return table.reset_index('fold')


def _refuse(place: str | Path, wrong: pd.Series, names: pd.Series, problem: str) -> None:
    if wrong.any():
        places = listed(names[wrong.to_numpy()].astype(str))
        raise PredictionError(f'{place}: {int(wrong.sum())} {problem}: {places}')
