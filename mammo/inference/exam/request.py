"""What was given for an answer, and what a reader must know of an answer to that.

clinical values, side; the cell of a bundle that belongs to them -> record of the inputs, notes
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pandas as pd

from mammo.evaluation.cells import Cell
from mammo.inference.bundle.decisions import IMAGES
from mammo.inference.exam.images import Exam

FEW_EVENTS = 100  # with fewer, calibration is uncertain


class Inputs(NamedTuple):
    """What is known of a patient beside the images."""

    clinical: dict[str, str]  # value as given, by name of the variable; only those that are known
    values: pd.DataFrame | None  # the same, checked, one row; None without any
    tumor_side: str | None
    cropped_png: bool = False

    @property
    def n_known(self) -> int:
        """How many clinical values are known."""
        return len(self.clinical)

    @property
    def age(self) -> float | None:
        """In years, if the fused model has a variable of that name and it is known."""
        if self.values is None or 'age' not in self.values or self.values['age'].isna().all():
            return None
        return float(self.values['age'].iloc[0])

    def record(self, exam: Exam) -> dict[str, Any]:
        """What an answer is for; no header."""
        beside = dict(clinical=self.clinical, tumor_side=self.tumor_side, cropped_png=self.cropped_png)
        files = [dict(file=image.name, sha256=image.sha256) for image in exam.images]
        return beside | dict(files=files, time=datetime.now(UTC).isoformat(timespec='seconds'))


def notes(
    inputs: Inputs, n_variables: int, model: str, cell: Cell | None, site: dict[str, Any] | None
) -> list[str]:
    """What a reader must know of an answer with part of the input unknown."""
    texts = []
    if inputs.tumor_side is None:
        texts.append('the side of the tumor is not given: the images of both breasts were used')
    if n_variables and not inputs.n_known:
        texts.append('no clinical value: answered from the images alone')
    elif model == IMAGES and inputs.n_known:
        texts.append(
            f'with {inputs.n_known} of {n_variables} clinical values the images alone did as well on '
            'patients whose outcome is known, so the answer is theirs'
        )
    elif inputs.n_known < n_variables:
        texts.append(f'{n_variables - inputs.n_known} of {n_variables} clinical values are missing')
    return texts + _certainty(cell, site)


def _certainty(cell: Cell | None, site: dict[str, Any] | None) -> list[str]:
    """How certain is what the bundle knows of such an input, and what a site has added to it."""
    if cell is None:
        return ['this bundle does not know how good an answer to such an input is']
    if cell.get('recalibration') is None:
        reason = cell.get('reason', 'the bundle holds no calibration')
        return [f'not calibrated for such an input: {reason}']
    such = _counted(cell, f'{cell.get("unit", "patient")}s with such an input')
    if site is None:
        return [f'calibration and threshold are of {such}']
    threshold = 'threshold' if site['threshold'] is not None else f'no threshold ({site["reason"]})'
    of_site = _counted(site, f'patients of {site["name"]}')
    return [
        f'calibration is of {such}',
        f'recalibration ({site["method"]}) and {threshold} are of {of_site}',
    ]


def _counted(entry: Cell, patients: str) -> str:
    few = ': few, so all numbers are uncertain' if entry['n_events'] < FEW_EVENTS else ''
    return f'{entry["n_patients"]} {patients}, {entry["n_events"]} of them positive{few}'
