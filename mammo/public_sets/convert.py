"""Tables of public data sets to the input and labels of tools/preprocess.py.

published tables, image folder -> images.csv, labels.csv, convert_report.json
"""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mammo.errors import UserError, listed
from mammo.public_sets.layouts import Labelling, Layout
from mammo.public_sets.places import with_files, with_pictures
from mammo.records.ids import is_nobody, normal_id, normal_path
from mammo.records.meta_items import check_path, side
from mammo.records.storage.files import write_json, write_text
from mammo.records.tables.reading import TableError, read_table
from mammo.records.versions import VERSIONS

logger = logging.getLogger(__name__)
KEYS = ['patient_id', 'laterality', 'exam_id']
IDENTITY = ['patient_id', 'laterality', 'view']


class Converted(NamedTuple):
    """What a data set's tables become."""

    images: pd.DataFrame  # one row per listed path
    labels: pd.DataFrame  # one row per patient, side and exam
    report: dict[str, Any]


def write_inputs(
    layout: Layout,
    tables: Sequence[Path],
    image_root: Path | None,
    out_dir: Path,
    image_dir: Path | None = None,
) -> str:
    """Convert the tables of a data set and look for its files -> one sentence about them.

    Args:
        image_root: folder of the DICOM files as they are published.
        image_dir: instead of it, folder of PNG or JPEG pictures that somebody has made of them.

    Raises:
        UserError: a table is not one of this data set, or gives an image to two patients; an image has
            two pictures.
    """
    images, labels, report = convert(read(tables, layout), layout)
    if image_dir:
        images, n_missing = with_pictures(images, image_dir.resolve())
    else:
        assert image_root, 'image_root or image_dir'
        images, n_missing = with_files(images, image_root.resolve())
    write_text(out_dir / 'images.csv', images.to_csv(index=False))
    write_text(out_dir / 'labels.csv', labels.to_csv(index=False))
    report |= dict(files=len(images), files_missing=n_missing)
    write_json(out_dir / 'convert_report.json', report)
    n_leaks = len(report['patients_on_both_sides_of_the_official_split'])
    advice = ' (split anew with tools/split.py)' if n_leaks else ''
    return (
        f'{len(images)} images of {report["patients"]} patients, {n_missing} files missing, '
        f'{report["rows_left_out"]} rows left out, {report["unknown_labels_total"]} labels unknown, '
        f'{n_leaks} patients on both sides of the official split{advice} -> {out_dir}'
    )


def read(paths: Sequence[Path], layout: Layout) -> pd.DataFrame:
    """Read and pool the tables of a data set.

    Raises:
        TableError: one lacks a column.
    """
    # CBIS writes both 'breast density' and breast_density
    tables, kept = [], [*layout.required, *(name.replace('_', ' ') for name in layout.required)]
    for path in paths:
        table = read_table(path, kept=kept)
        table.columns = table.columns.str.replace(' ', '_')
        missing = [name for name in layout.required if name not in table]
        if missing or not table.columns.is_unique:
            problem = f'{missing} missing' if missing else 'a column twice'
            raise TableError(f'{path}: {problem} for {layout.name} ({layout.source}); found {list(table)}')
        part = ''.join(re.findall('train|test', path.name)[:1])
        tables.append(table.assign(part=part, place=[f'{path.name} row {line}' for line in table.index]))
    return pd.concat(tables, ignore_index=True)


def convert(table: pd.DataFrame, layout: Layout) -> Converted:
    """Make one row per image and one label row per patient, side and exam.

    Several rows of one image (one per lesion) are pooled: the first of what describes the image, and of
    the labels the highest, unless one is unknown that could be higher.

    Raises:
        UserError: no row can be used, or an image belongs to several patients, sides or views.
    """
    reasons = [_problem(row, layout) for row in table.to_dict('records')]
    left_out = [f'{place}: {why}' for place, why in zip(table['place'], reasons, strict=True) if why]
    table = table[[not why for why in reasons]].reset_index(drop=True)
    if table.empty:
        raise UserError(f'no row can be used for {layout.name}: {listed(left_out, 3, "; ")}')
    if left_out:
        logger.warning('%d rows left out: %s', len(left_out), listed(left_out, 5, '; '))
    table = table.assign(**{name: _names(table, name) for name in layout.filled})
    rows = layout.images(table)
    rows = rows.replace(dict(split={'': np.nan}))
    rows['dicom_path'] = rows['dicom_path'].map(normal_path)
    rows['laterality'] = [side(cell, 'laterality') for cell in rows['laterality']]
    _check_identity(rows, layout)
    clinical = {name: table[column] for name, column in layout.clinical.items()}
    images = rows.assign(**clinical).groupby('dicom_path', sort=True).first().reset_index()
    labels, unknown = _labels(table, rows, layout)
    report = _report(table, rows, images, labels, layout)
    n_unknown = sum(sum(counts.values()) for counts in unknown.values())
    report |= dict(rows_left_out=len(left_out), unknown_labels=unknown, unknown_labels_total=n_unknown)
    if layout.one_row_per_breast:
        images = images.drop(columns='laterality')  # the headers know which image shows which breast
    return Converted(images.rename(columns={'split': 'cohort'}), labels, report)


def _names(table: pd.DataFrame, column: str) -> list[str]:
    """Ids or paths in their normal form; a table that pandas or Windows has saved has others."""
    cells = zip(table['place'], table[column], strict=True)
    return [(normal_id(cell, f'{place}: {column}') or '').replace('\\', '/') for place, cell in cells]


def _problem(row: dict[Any, str], layout: Layout) -> str:
    """Why a row cannot be used, or ''."""
    if empty := [name for name in layout.filled if is_nobody(row[name])]:
        return f'{", ".join(empty)} empty'
    try:
        for name in layout.filled:
            path = row[name].replace('\\', '/')
            check_path(path, name)
            if path.startswith('/'):
                return f'{name} is {row[name]!r}, expected one inside the image folder'
        return '' if side(row[layout.side], layout.side) else f'{layout.side} empty'
    except UserError as error:
        return str(error)


def _check_identity(rows: pd.DataFrame, layout: Layout) -> None:
    names = ['patient_id'] if layout.one_row_per_breast else [name for name in IDENTITY if name in rows]
    counts = rows.groupby('dicom_path')[names].nunique().gt(1)
    wrong = counts.index[counts.any(axis=1)]
    if len(wrong):
        raise UserError(
            f'{len(wrong)} image paths have rows that differ in {", ".join(names)}: {listed(wrong, 3)}; '
            'correct the tables'
        )


def _labels(
    table: pd.DataFrame, rows: pd.DataFrame, layout: Layout
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Labels by patient, side and exam, and how often each value that has no meaning stands in the tables."""
    keys = [key for key in KEYS if key in rows]
    values, unknown = {}, {}
    for task, labelling in layout.labels.items():
        cells = [(normal_id(cell) or '').casefold() for cell in table[labelling.column]]
        meant = labelling.applies_to(table)
        odd = Counter(
            c or 'empty' for c, yes in zip(cells, meant, strict=True) if yes and c not in labelling.values
        )
        unknown[task] = dict(sorted(odd.items()))
        if odd:
            logger.warning('%s: unknown values of %s: %s', task, labelling.column, unknown[task])
        values[task] = pd.Series([labelling.values.get(c, np.nan) for c in cells], table.index).where(meant)
    groups = rows[keys].assign(**values).groupby(keys, sort=True)
    pooled = {task: _pooled(labelling) for task, labelling in layout.labels.items()}
    return groups.agg(pooled).reset_index(), unknown


def _pooled(labelling: Labelling) -> Any:
    top = max(labelling.values.values())
    return lambda values: values.max() if values.notna().all() or values.max() == top else np.nan


def _report(
    table: pd.DataFrame, rows: pd.DataFrame, images: pd.DataFrame, labels: pd.DataFrame, layout: Layout
) -> dict[str, Any]:
    splits = rows.groupby('patient_id')['split'].nunique() if 'split' in rows else pd.Series(dtype=int)
    counts = {task: labels[task].value_counts().sort_index() for task in layout.labels}
    return dict(
        format_version=VERSIONS['convert_report'],
        data_set=layout.name,
        rows=len(table),
        images=len(images),
        patients=int(rows['patient_id'].nunique()),
        labels={task: {f'{value:g}': int(n) for value, n in count.items()} for task, count in counts.items()},
        patients_on_both_sides_of_the_official_split=sorted(splits.index[splits > 1]),
    )
