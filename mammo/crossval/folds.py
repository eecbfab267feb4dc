"""The folds of a double cross-validation, as far as the checks need them.

FOLDS/<outer>/<inner>/{train,val,test}.json -> Fold per model
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mammo.errors import DataError, listed
from mammo.leaks import Traces, traces_of
from mammo.records.folds import PARTS
from mammo.records.meta import read_meta


class Part(NamedTuple):
    """One meta file, as far as the checks need it."""

    traces: Traces
    labelled: dict[str, frozenset[float]]  # the different labels of each task that has any

    @property
    def patients(self) -> frozenset[str]:
        """Ids of all patients in it."""
        return frozenset(self.traces.patients)


class Fold(NamedTuple):
    """One model: it learns from train, is chosen by val and scored on test."""

    outer: str
    inner: str
    folder: Path
    parts: dict[str, Part]

    @property
    def name(self) -> str:
        """Name of the fold in folders and logs, such as ``0/1``."""
        return f'{self.outer}/{self.inner}'


def read_folds(root: Path, images: str | os.PathLike = '') -> list[Fold]:
    """Read the folds of tools/split.py, in the order of their numbers.

    Args:
        images: folder that image paths are relative to.

    Raises:
        DataError: there is none, or a folder lacks a part.
    """
    folders = sorted({path.parent for path in root.glob('*/*/*.json') if path.stem in PARTS})
    if not folders:
        raise DataError(f'{root}: no <outer>/<inner>/train.json; make the folds with tools/split.py')
    for folder in folders:
        lacking = [f'{part}.json' for part in PARTS if not (folder / f'{part}.json').is_file()]
        if lacking:
            raise DataError(f'{folder}: {", ".join(lacking)} missing; split again with tools/split.py')
    folders.sort(key=lambda folder: [(len(name), name) for name in folder.parts[-2:]])
    return [
        Fold(f.parent.name, f.name, f, {part: read_part(f / f'{part}.json', images) for part in PARTS})
        for f in folders
    ]


def read_part(path: Path, images: str | os.PathLike = '') -> Part:
    """Patients, images (relative to a folder) and labelled tasks of a meta file.

    Raises:
        DataError: it has no image, or an image without patient_id.
    """
    items = read_meta(path)['data_list']
    unnamed = [item['img_path'] for item in items if not item.get('patient_id')]
    if unnamed or not items:
        problem = (
            f'{len(unnamed)} images have no patient_id: {listed(unnamed)}' if items else 'it has no image'
        )
        raise DataError(f'{path}: {problem}; cross-validation needs the patient of every image')
    labels: dict[str, set[float]] = {}
    for item in items:
        for task, value in item['gt_label'].items():
            labels.setdefault(task, set()).add(value)
    return Part(traces_of(items, images), {task: frozenset(values) for task, values in labels.items()})


def selected(folds: Sequence[Fold], only: str | None) -> list[Fold]:
    """The folds that ``--only 0/1,2/3`` names; all without it.

    Raises:
        DataError: a name is no fold.
    """
    if only is None:
        return list(folds)
    wanted = [name.strip() for name in only.split(',')]
    unknown = sorted(set(wanted) - {fold.name for fold in folds})
    if unknown:
        raise DataError(f'--only {unknown[0]}: no such fold; there are {listed([f.name for f in folds])}')
    return [fold for fold in folds if fold.name in wanted]
