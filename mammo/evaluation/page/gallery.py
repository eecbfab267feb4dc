"""Patients worth looking at: the highest, the lowest and the most wrong scores, with their attention maps.

patient table, folder of tools/attention_maps.py -> groups of patients with pictures as data addresses
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mammo.pages.environment import data_uri
from mammo.records.predictions import PredictionError

SHOWN = 4  # patients per group


def gallery(folder: Path, patients: pd.DataFrame) -> list[dict[str, Any]]:
    """Choose patients by score and error and collect their pictures.

    Args:
        folder: ``attention.json`` and the pictures it names.
        patients: index patient_id; columns score and label, none missing. Of breasts, the index is id and
            side, and there is a column ``woman``.

    Raises:
        PredictionError: the folder holds no attention maps, or none of a chosen patient.
    """
    pictures = _pictures(folder, by_breast='woman' in patients)
    error = (patients.label - patients.score).abs()
    groups = {
        'Highest scores': patients.score.nlargest(SHOWN).index,
        'Lowest scores': patients.score.nsmallest(SHOWN).index,
        'Most wrong': error.nlargest(SHOWN).index,
    }
    missing = sorted({patient for index in groups.values() for patient in index} - pictures.keys())
    if missing:
        raise PredictionError(
            f'{folder}: no attention map of patients {", ".join(missing)}; draw them from the same test file'
        )
    return [
        dict(title=title, patients=[_entry(patients.loc[patient], pictures[patient]) for patient in index])
        for title, index in groups.items()
    ]


def _pictures(folder: Path, *, by_breast: bool) -> dict[str, list[tuple[Path, str]]]:
    """Pictures of each patient, or breast, with side and view."""
    try:
        images = json.loads((folder / 'attention.json').read_text())['images']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PredictionError(f'{folder}: not a folder of tools/attention_maps.py ({error})') from None
    pictures: dict[str, list[tuple[Path, str]]] = {}
    for image in images:
        name = ' '.join(filter(None, (image.get('laterality'), image.get('view'))))
        whose = f'{image["patient_id"]} {image["laterality"]}' if by_breast else str(image['patient_id'])
        pictures.setdefault(whose, []).append((folder / Path(image['file']).name, name))
    return pictures


def _entry(patient: pd.Series, pictures: list[tuple[Path, str]]) -> dict[str, Any]:
    return dict(
        name=patient.name,
        score=float(patient.score),
        label=float(patient.label),
        pictures=[
            dict(source=data_uri(path.read_bytes(), 'image/png'), name=name) for path, name in pictures
        ],
    )
