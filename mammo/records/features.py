"""Numbers that a network makes of images, per patient: features.npz, the one writer and the one reader.

arrays <-> npz without pickle; -> frames patient id x column, of the tumor's side and of both breasts
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.errors import UserError, listed
from mammo.records.storage.files import replacing
from mammo.records.storage.pickles import DAMAGED_ARRAYS
from mammo.records.versions import VERSIONS, version_problem

FORMAT_VERSION = VERSIONS['features']

LATER = ('x_both_sides', 'side_known')


class Features(NamedTuple):
    """Patients' features, as they are where the tumor's side is known, and where it is not."""

    sided: pd.DataFrame  # patient id x column: images of the tumor's side, if that is known
    both_sides: pd.DataFrame | None  # the same columns of the images of both breasts; None: not recorded
    side_known: pd.Series | None  # by patient id: whether the tumor's side is
    description: dict[str, Any]  # columns, stage, aggregate


def write_features(
    path: Path, features: Features, image_x: NDArray[np.float32], images: list[dict[str, Any]]
) -> None:
    """Write features of patients, and of the images that speak for them, whole or not at all."""
    assert features.both_sides is not None
    assert features.side_known is not None
    kept = features.sided.index
    with replacing(path) as tmp:
        np.savez(
            tmp,
            format_version=FORMAT_VERSION,
            image_id=np.array([image['img_name'] for image in images]),
            image_patient_id=np.array([str(image['patient_id']) for image in images]),
            image_x=image_x,
            patient_id=kept.to_numpy(str),
            x=features.sided.to_numpy(np.float32),
            x_both_sides=features.both_sides.reindex(kept).to_numpy(np.float32),
            side_known=features.side_known.reindex(kept).to_numpy(bool),
            column=np.array(features.description['columns']),
            stage=features.description['stage'],
            aggregate=features.description['aggregate'],
        )


def read_features(path: Path) -> Features:
    """Read and check a features file.

    Raises:
        UserError: it is damaged, of another version, repeats a patient, or is not finite.
    """
    keys = ('format_version', 'patient_id', 'x', 'column', 'stage', 'aggregate')
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in (*keys, *LATER) if key in keys or key in file}
        index, columns = data['patient_id'].astype(str), data['column'].astype(str)
        names = ('x', 'x_both_sides')
        frames = [pd.DataFrame(data[name], index, columns) if name in data else None for name in names]
        side_known = pd.Series(data['side_known'], index) if 'side_known' in data else None
    except DAMAGED_ARRAYS as error:
        raise UserError(f'{path}: not of tools/extract_features.py: {error}; extract again') from None
    sided, both_sides = frames
    assert sided is not None
    problem = version_problem('features', data['format_version'].tolist())
    if problem or not sided.index.is_unique:
        repeated = listed(sided.index[sided.index.duplicated()].unique())
        raise UserError(f'{path}: {problem or f"repeated ids {repeated}"}')
    for frame in frames:
        if frame is not None:
            _check_finite(path, frame)
    description = dict(columns=list(sided), stage=str(data['stage']), aggregate=str(data['aggregate']))
    return Features(sided, both_sides, side_known, description)


def _check_finite(path: Path, frame: pd.DataFrame) -> None:
    wrong = np.argwhere(~np.isfinite(frame.to_numpy()))
    if len(wrong):
        places = [f'patient {frame.index[i]} column {frame.columns[j]}' for i, j in wrong]
        raise UserError(f'{path}: {len(wrong)} entries are NaN or infinite: {listed(places)}')
