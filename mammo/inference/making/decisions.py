"""The decisions of a bundle from a cross-validation: each patient by the models that did not see her.

folder of tools/cross_validate.py -> decision.json: cells of the images and of the fused model
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.special import expit

from mammo.evaluation.calibration import clipped_logit
from mammo.evaluation.cells import Cell, cell
from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.ensemble_scores import lines_of, whole_spread
from mammo.fusion.model import read_model
from mammo.fusion.partial import KNOWN, UNKNOWN, Member, known_of, rescored
from mammo.inference.decisions import FUSED, IMAGES
from mammo.records.fusion_set import read_split

CHOSEN_ON = 'cross-validated predictions of all outer folds'
MODE = 'clinical-mammo'


def image_cells(
    ensemble: Path, label: str, target: float, confidence: float | None, patient_label: str
) -> dict[str, Cell]:
    """Cells of the images alone, for a known and for an unknown side of the tumor."""
    cells = {}
    for side in (KNOWN, UNKNOWN):
        table = read_patients([ensemble], label, all_sides=side == UNKNOWN, patient_label=patient_label).table
        if side == KNOWN and 'tumor_side' in table:
            table = table[table.tumor_side.isin(['L', 'R'])]
        rows = table.reset_index().rename(columns=dict(score='prob')).dropna(subset='label').assign(subset=0)
        cells[side] = cell(rows, target, confidence)
    return cells


def fused_cells(
    folder: Path,
    names: list[str],
    model: str,
    target: float,
    confidence: float | None,
    of_images: Mapping[str, Cell],
) -> dict[str, list[Cell]]:
    """Cells of the fused model: per side a list, by number of known clinical variables."""
    groups: dict[str, list[Member]] = {}
    for name in names:
        fusion = folder / name / 'fusion'
        split = read_split(fusion / 'data', 'test', MODE)
        member = Member.of(read_model(fusion / model / 'checkpoint.pth'), split)
        groups.setdefault(name.partition('/')[0], []).append(member)
    scored = rescored([*groups.values()])
    unknowns = next(iter(groups.values()))[0].unknowns
    variables = unknowns.names[: unknowns.n_variables]
    images = {side: of_images.get(side) for side in (KNOWN, UNKNOWN)}
    return {
        str(side): cells_of_side(part, variables, len(names), images[str(side)], target, confidence)
        for side, part in scored.groupby('side')
    }


def cells_of_side(
    rows: pd.DataFrame,
    variables: list[str],
    n_members: int,
    images: Cell | None,
    target: float,
    confidence: float | None,
) -> list[Cell]:
    """Cells by number of known variables, of rows of ``rescored`` of one side; see ``ensemble_scores``."""
    known = known_of(rows, len(variables))
    lines = lines_of(rows, known)
    rows = rows.assign(
        prob=expit(lines(clipped_logit(rows.prob.to_numpy()), known)),
        disagreement=rows.disagreement * lines.slope(known) ** 2,
    )
    cells = []
    for number in range(len(variables) + 1):
        part = rows[rows.n_known == number]
        made = cell(part, target, confidence, whole_spread(part, n_members) if len(part) else 1.0)
        if made['recalibration']:
            slopes, shifts = (dict(zip(variables, v.tolist(), strict=True)) for v in lines[1:])
            made['recalibration']['known'] = dict(base=lines.base, slopes=slopes, shifts=shifts)
        cells.append(made | dict(better=is_better(made, images, number), n_known=number))
    return cells


def is_better(fused: Cell, images: Cell | None, n_known: int) -> bool:
    """Whether the fused model answers: it must know something, and tell more than the images alone."""
    loss, of_images = fused['log_loss'], (images or {}).get('log_loss')
    return n_known > 0 and loss is not None and (of_images is None or loss < of_images)


def decisions(
    folder: Path, record: dict[str, Any], names: dict[str, str], target: float, confidence: float | None
) -> dict[str, Any]:
    """Content of decision.json."""
    label = record['settings']['label']
    patient_label = record.get('patient_label', 'same')
    of_images = image_cells(folder / 'ensemble' / names[IMAGES], label, target, confidence, patient_label)
    content: dict[str, Any] = dict(
        target_sensitivity=target, confidence=confidence, chosen_on=CHOSEN_ON, **{IMAGES: of_images}
    )
    if 'schema' in record['settings']['files']:
        members = [*record['folds']]
        content[FUSED] = fused_cells(folder, members, names[FUSED], target, confidence, of_images)
    return content
