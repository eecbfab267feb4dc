"""A whole phantom study in one folder.

seed and number of patients -> dicom/*.dcm, images.csv, labels.csv, clinical.csv, truth.json
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mammo.errors import UserError
from mammo.phantoms.files import write_exams
from mammo.phantoms.truth import CLINICAL, LABELS, best_reachable, drop_values, sample_patients
from mammo.records.storage.files import write_json, write_text


def write_study(
    out_dir: Path, *, patients: int, seed: int, missing_frac: float, id_prefix: str, height: int, width: int,
    workers: int, one_view: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Draw patients, render them, write the tables -> the truth: best reachable scores.

    Args:
        one_view: lesions beside the main one show in one view only, CC or MLO.

    Raises:
        UserError: a number is impossible, or the folder holds other patients.
    """
    for name, value, least in (('patients', patients, 1), ('seed', seed, 0), ('workers', workers, 1)):
        if value < least:
            raise UserError(f'--{name} is {value}, must be at least {least}')
    if not 0 <= missing_frac < 1:
        raise UserError(f'--missing-frac is {missing_frac}, must be at least 0 and below 1')
    table = sample_patients(patients, np.random.default_rng([seed, 0]))
    table.insert(0, 'patient_id', [f'{id_prefix}{i + 1:04d}' for i in table.index])
    stale = {path.name.split('_')[0] for path in out_dir.glob('dicom/*.dcm')} - set(table['patient_id'])
    if stale:
        raise UserError(f'--out-dir {out_dir} holds {min(stale)} of another run; choose an empty folder')
    if one_view:
        table['satellites_in'] = np.random.default_rng([seed, 3]).choice(['CC', 'MLO'], len(table))
    exams = write_exams(table.to_dict('records'), out_dir, (height, width), seed, id_prefix, workers)
    images = pd.DataFrame(list(tqdm(exams, 'images', 4 * len(table))))
    table = drop_values(table, LABELS + CLINICAL, missing_frac, np.random.default_rng([seed, 1]))
    labels = table.rename(columns={'tumor_side': 'laterality'})[['patient_id', 'laterality', *LABELS]]
    clinical = table[['patient_id', *CLINICAL]]
    for name, frame in dict(images=images, labels=labels, clinical=clinical).items():
        write_text(out_dir / f'{name}.csv', frame.to_csv(index=False))
    truth = best_reachable()
    write_json(out_dir / 'truth.json', truth)
    return truth
