"""Phantom patients on disk.

patients of phantom_truth.sample_patients -> OUT/dicom/*.dcm, rows of images.csv
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mammo.phantoms.drawing import render_exam
from mammo.records.storage.files import replacing

Patient = dict[Any, Any]
Rows = list[dict[str, Any]]


def write_exams(
    patients: Sequence[Patient],
    out_dir: Path,
    shape: tuple[int, int],
    seed: int,
    id_prefix: str,
    workers: int,
) -> Iterator[dict[str, Any]]:
    """Render and save all images -> rows, in order; any number of workers writes the same bytes."""
    write = partial(write_exam, out_dir=out_dir, shape=shape, seed=seed, id_prefix=id_prefix)
    if workers == 1:
        yield from chain.from_iterable(map(write, patients, range(len(patients))))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from chain.from_iterable(pool.map(write, patients, range(len(patients)), chunksize=4))


def write_exam(
    patient: Patient, index: int, out_dir: Path, shape: tuple[int, int], seed: int, id_prefix: str
) -> Rows:
    """Render and save one patient -> rows, lesions as JSON [[x_px, y_px, radius_px], ...]."""
    rows = []
    for ds, row in render_exam(patient, index, shape, seed, id_prefix):
        path = f'dicom/{row["patient_id"]}_{row["laterality"]}_{row["view"]}.dcm'
        with replacing(out_dir / path) as tmp:
            ds.save_as(tmp, enforce_file_format=True)
        row['lesions'] = json.dumps(np.round(row['lesions'], 1).tolist())
        rows.append({'dicom_path': path, **row})
    return rows
