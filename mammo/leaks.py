"""The one check for leaks: nothing that tells of a woman, or shows her, may be on two sides.

items of meta files, folder of their images -> Traces per side -> nothing, or an error that names both sides
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from mammo.errors import DataError, listed
from mammo.records.ids import check_look_alikes, normal_id, normal_path
from mammo.records.storage.files import sha256_of

STUDY_FIELDS = ('study_uid', 'study_instance_uid', 'StudyInstanceUID')
UNIQUE_ID = re.compile(r'\d+(\.\d+){4,}|[0-9a-f]{16}')  # a DICOM UID (PS3.5 9.1), or a pseudonym of one
SAMPLE_BYTES = 1 << 16  # of the middle of a file, where images of one size differ
SHOWN_LINES = 5
REMEDY = 'one woman belongs to one side: give her one patient_id, remove copies, and split again'


class Traces(NamedTuple):
    """What tells that somebody is on a side; each in its normal form."""

    patients: set[str]
    images: set[str]  # paths; of identical files, one common name
    studies: dict[str, str]  # StudyInstanceUID -> patient


def traces_of(items: Iterable[Mapping[Any, Any]], folder: str | os.PathLike = '') -> Traces:
    """What the items of a meta file, or records of predictions, tell of whom they show.

    Args:
        folder: that image paths are relative to.

    Raises:
        DataError: a study belongs to two patients.
    """
    traces = Traces(set(), set(), {})
    for item in items:
        add_item(traces, item, folder)
    return traces


def add_item(traces: Traces, item: Mapping[Any, Any], folder: str | os.PathLike = '') -> None:
    """Add one item to ``traces``; see :func:`traces_of`."""
    patient = normal_id(item.get('patient_id')) or ''
    if patient:
        traces.patients.add(patient)
    if item.get('img_path'):
        traces.images.add(normal_path(os.path.join(folder, item['img_path'])))
    for study in _studies(item):
        other = traces.studies.setdefault(study, patient)
        if other != patient and other and patient:
            raise DataError(
                f'leak check: study {study} belongs to patients {other} and {patient}; if they are one '
                'woman, give her one patient_id, else find out which images are of whom'
            )


def check_spelling(sides: Mapping[str, Traces], place: str, *, strict: bool = False) -> None:
    """Warn of patients whose ids hardly differ: one woman under two of them could be on two sides.

    Raises:
        UserError: ``strict``, and there are some.
    """
    check_look_alikes(set().union(*(side.patients for side in sides.values())), place, strict=strict)


def merged(sides: Iterable[Traces]) -> Traces:
    """What several sides, such as all parts of all folds, tell together."""
    total = Traces(set(), set(), {})
    for side in sides:
        total.patients.update(side.patients)
        total.images.update(side.images)
        total.studies.update(side.studies)
    return total


def named_by_content(sides: Mapping[str, Traces]) -> dict[str, Traces]:
    """The same, but images whose files are identical have one name, which lists them all.

    Files that are not there are known by their path only.
    """
    names = {
        path: ' = '.join(group)
        for group in identical_files(set().union(*(side.images for side in sides.values())))
        for path in group
    }
    return {
        name: side._replace(images={names.get(path, path) for path in side.images})
        for name, side in sides.items()
    }


def identical_files(paths: Iterable[str]) -> list[list[str]]:
    """Groups of two or more files with the same bytes, sorted; only files of one size are read."""
    groups = [sorted(path for path in paths if os.path.isfile(path))]
    for fingerprint in (os.path.getsize, _sample, sha256_of):
        groups = [alike for group in groups for alike in _alike(group, fingerprint)]
    return sorted(groups)


def shared(sides: Mapping[str, Traces], place: str = '') -> list[str]:
    """What is on more than one side -> lines such as ``2 patients are in PLACE train and test: p1, p2``."""
    lines = []
    for kind in Traces._fields:
        owners: dict[str, list[str]] = {}
        for name, side in sides.items():
            for value in getattr(side, kind):
                owners.setdefault(value, []).append(name)
        both: dict[str, list[str]] = {}
        for value, names in owners.items():
            if len(names) > 1:
                both.setdefault(' and '.join(names), []).append(value)
        lines += [f'{len(v)} {kind} are in {place}{names}: {listed(sorted(v))}' for names, v in both.items()]
    return lines


def refuse_shared(sides: Mapping[str, Traces], place: str = '') -> None:
    """See that no two sides share a patient, an image or a study.

    Args:
        place: of the sides, such as ``fold 0/1: ``.

    Raises:
        DataError: they do; it names what is shared, and between whom.
    """
    lines = shared(sides, place)
    if lines:
        raise DataError(f'leak check: {listed(lines, SHOWN_LINES, "; ")}; {REMEDY}')


def _studies(item: Mapping[Any, Any]) -> set[str]:
    """StudyInstanceUIDs of an item: our own exam_id is one, unless a table gave another."""
    exam = str(item.get('exam_id') or '').strip()
    named = {str(item[field]).strip() for field in STUDY_FIELDS if item.get(field)}
    return named | ({exam} if UNIQUE_ID.fullmatch(exam) else set())


def _alike(paths: list[str], fingerprint: Callable[[str], Any]) -> list[list[str]]:
    marked = sorted((fingerprint(path), path) for path in paths)
    groups = ([path for _, path in pairs] for _, pairs in groupby(marked, key=lambda pair: pair[0]))
    return [group for group in groups if len(group) > 1]


def _sample(path: str) -> bytes:
    with open(path, 'rb') as file:
        file.seek(max(0, os.path.getsize(path) // 2 - SAMPLE_BYTES // 2))
        return file.read(SAMPLE_BYTES)
