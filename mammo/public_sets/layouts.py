"""Tables of public data sets to the input and labels of tools/preprocess.py.

published CSVs, image folder -> images.csv, labels.csv, convert_report.json
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mammo.records.files import write_json, write_text
from mammo.records.tables import read_table

KEYS = ['patient_id', 'laterality', 'exam_id']


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a data set calls things; functions take the text table, one value per row comes out."""

    name: str
    source: str  # where the layout is published
    required: Sequence[str]
    columns: Callable[
        [pd.DataFrame], dict[str, pd.Series]
    ]  # dicom_path, patient_id, view, laterality, split, ...
    labels: Callable[[pd.DataFrame], dict[str, pd.Series]]  # task -> number, NaN if unknown
    one_row_per_breast: bool = False  # dicom_path is then the folder of the patient
    clinical: dict[str, str] = field(default_factory=dict)  # our name -> column


def read(paths: Sequence[Path], layout: Layout) -> pd.DataFrame:
    """Read and pool the CSVs of a data set; ``ValueError`` names a missing column."""
    tables = []
    for path in paths:
        table = read_table(path).apply(lambda column: column.str.strip())
        table.columns = table.columns.str.replace(
            ' ', '_'
        )  # CBIS writes both 'breast density' and breast_density
        missing = [name for name in layout.required if name not in table]
        if missing:
            raise ValueError(
                f'{path}: {missing} missing for {layout.name} ({layout.source}); found {list(table)}'
            )
        tables.append(table.assign(file=path.name))
    return pd.concat(tables, ignore_index=True)


def convert(table: pd.DataFrame, layout: Layout) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Make one row per image and one label row per patient, side and exam -> images, labels, report.

    Several rows of one image (one per lesion) are pooled: the highest label, the first of the rest.
    """
    rows = pd.DataFrame(layout.columns(table))
    tasks = layout.labels(table)
    clinical = {name: table[column] for name, column in layout.clinical.items()}
    images = rows.assign(**clinical).groupby('dicom_path', sort=True).first().reset_index()
    keys = [key for key in KEYS if key in rows]
    labels = rows[keys].assign(**tasks).groupby(keys, sort=True)[list(tasks)].max().reset_index()
    splits = rows.groupby('patient_id')['split'].nunique() if 'split' in rows else pd.Series(dtype=int)
    report = dict(
        format_version=1,
        data_set=layout.name,
        rows=len(table),
        images=len(images),
        patients=int(rows['patient_id'].nunique()),
        labels={
            task: {f'{k:g}': int(n) for k, n in labels[task].value_counts().sort_index().items()}
            for task in tasks
        },
        patients_on_both_sides_of_the_official_split=sorted(splits.index[splits > 1]),
    )
    if layout.one_row_per_breast:
        images = images.drop(columns='laterality')  # the headers know which image shows which breast
    return images.rename(columns={'split': 'cohort'}), labels, report


def locate(path: str, root: Path) -> list[str]:
    """Files that a listed path stands for: itself, all DICOM files of a folder, or the only one below its
    first folder, since download tools rename files; the path as it is if none is there."""
    if (root / path).is_file():
        return [path]
    is_folder = (root / path).is_dir()
    below = root / path if is_folder else root / Path(path).parts[0]
    found = sorted(file.relative_to(root).as_posix() for file in below.rglob('*.dcm'))
    return found if is_folder or len(found) == 1 else [path]


def main(layout: Layout, description: str) -> str:
    """Command line of every converter: CSVs and image folder -> three files, and one line to print."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument('csv', type=Path, nargs='+', help=f'tables of the data set: {layout.source}')
    parser.add_argument('--image-root', type=Path, required=True, help='folder of the DICOM files')
    parser.add_argument('--out-dir', type=Path, required=True)
    args = parser.parse_args()
    try:
        images, labels, report = convert(read(args.csv, layout), layout)
    except ValueError as error:
        parser.error(str(error))
    root = args.image_root.resolve()
    images['dicom_path'] = [locate(path, root) for path in images['dicom_path']]
    images = images.explode('dicom_path').dropna(subset='dicom_path')
    missing = sum(not (root / path).is_file() for path in images['dicom_path'])
    images['dicom_path'] = [str(root / path) for path in images['dicom_path']]
    write_text(args.out_dir / 'images.csv', images.to_csv(index=False))
    write_text(args.out_dir / 'labels.csv', labels.to_csv(index=False))
    write_json(args.out_dir / 'convert_report.json', report | dict(files=len(images), files_missing=missing))
    leaks = len(report['patients_on_both_sides_of_the_official_split'])
    advice = ' (split anew with tools/split.py)' if leaks else ''
    return (
        f'{len(images)} images of {report["patients"]} patients, {missing} files missing, '
        f'{leaks} patients on both sides of the official split{advice} -> {args.out_dir}'
    )
