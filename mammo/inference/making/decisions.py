"""The decisions of a bundle from a cross-validation: each patient by the models that did not see her.

folder of tools/cross_validate.py -> decision.json: cells of the images and of the fused model
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mammo.evaluation.cells import Cell, cell
from mammo.evaluation.cohort.reading import read_patients
from mammo.fusion.model import read_model
from mammo.fusion.partial import KNOWN, UNKNOWN, Member, rescored
from mammo.inference.bundle.decisions import FUSED, IMAGES, PATTERNS
from mammo.inference.making.patterns import Line, pattern_lines
from mammo.patients import SIDES
from mammo.records.fusion_set import read_split

CHOSEN_ON = 'cross-validated predictions of all outer folds'
FUSION_MODE = 'clinical-mammo'


def image_cells(
    ensemble: Path, label: str, target: float, confidence: float | None, patient_label: str, unit: str
) -> dict[str, Cell]:
    """Cells of the images alone, for a known and for an unknown side of the tumor.

    Args:
        unit: whom labels are of. ``breast``: a known side is a breast, which may be either; without a side a
            woman is positive if one of her breasts is.
    """
    patients = partial(read_patients, [ensemble], label)
    if unit == 'breast':
        sided, both = patients(unit='breast').table, patients(all_sides=True, patient_label='max').table
    else:
        sided = patients(patient_label=patient_label).table
        sided = sided[sided.tumor_side.isin(SIDES)] if 'tumor_side' in sided else sided
        both = patients(all_sides=True, patient_label=patient_label).table
    return {
        KNOWN: cell(_rows(sided), target, confidence) | dict(unit=unit),
        UNKNOWN: cell(_rows(both), target, confidence) | dict(unit='patient'),
    }


def _rows(table: pd.DataFrame) -> pd.DataFrame:
    labelled = table.rename_axis('patient_id').reset_index().dropna(subset='label')
    return labelled.rename(columns=dict(score='prob')).assign(subset=0)


def members_of(folder: Path, names: list[str], model: str) -> list[list[Member]]:
    """Members of each outer fold, with its test patients."""
    groups: dict[str, list[Member]] = {}
    for name in names:
        fusion = folder / name / 'fusion'
        split = read_split(fusion / 'data', 'test', FUSION_MODE)
        member = Member.of(read_model(fusion / model / 'checkpoint.pth'), split)
        groups.setdefault(name.partition('/')[0], []).append(member)
    return [*groups.values()]


def fused_cells(
    groups: Sequence[Sequence[Member]],
    target: float,
    confidence: float | None,
    of_images: Mapping[str, Cell],
) -> dict[str, dict[str, list]]:
    """Cells of the fused model, per side: by number of known clinical variables, and by which they are."""
    cells: dict[str, dict[str, list]] = {FUSED: {}, PATTERNS: {}}
    n_variables = groups[0][0].unknowns.n_variables
    for side, rows in rescored(groups).groupby('side'):
        asked = (target, confidence, of_images.get(str(side)))
        cells[FUSED][str(side)] = [
            with_comparison(rows[rows.n_known == n], *asked, n) for n in range(n_variables + 1)
        ]
        cells[PATTERNS][str(side)] = [
            None
            if line is None
            else with_comparison(part.assign(subset=0), *asked, pattern.bit_count(), line)
            for pattern, (part, line) in enumerate(pattern_lines(groups, str(side)))
        ]
    return cells


def with_comparison(
    rows: pd.DataFrame, target: float, confidence: float | None, images: Cell | None, n_known: int,
    line: Line | None = None,
) -> Cell:  # fmt: skip
    """A cell that says whether it is better than the images alone."""
    made = cell(rows, target, confidence, line)
    loss, of_images = made['log_loss'], (images or {}).get('log_loss')
    better = n_known > 0 and loss is not None and (of_images is None or loss < of_images)
    return made | dict(better=bool(better), n_known=n_known)


def decisions(
    folder: Path, record: dict[str, Any], names: dict[str, str], target: float, confidence: float | None
) -> dict[str, Any]:
    """Content of decision.json."""
    label = record['settings']['label']
    whose = record.get('patient_label', 'same'), record.get('unit', 'patient')
    of_images = image_cells(folder / 'ensemble' / names[IMAGES], label, target, confidence, *whose)
    content: dict[str, Any] = dict(
        target_sensitivity=target, confidence=confidence, chosen_on=CHOSEN_ON, **{IMAGES: of_images}
    )
    if 'schema' in record['settings']['files']:
        groups = members_of(folder, [*record['folds']], names[FUSED])
        content |= fused_cells(groups, target, confidence, of_images)
    return content
