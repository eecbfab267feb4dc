"""What a bundle knows of its answers: calibration and threshold by model, side, number of known values.

decision.json -> Decisions; side known or not, which variables are known -> the cell that belongs to an input
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo.evaluation.cells import Cell
from mammo.evaluation.clinical_use.calibration import recalibrate
from mammo.fusion.partial import KNOWN, UNKNOWN

IMAGES = 'mammograms'  # name of the model that sees images only, as in tools/cross_validate.py
FUSED = 'fused'
PATTERNS = 'fused_patterns'  # cells of the fused model by which variables are known
ABOUT = ('target_sensitivity', 'confidence', 'chosen_on')  # what holds for all cells, or for a site
OF_SITE = ('name', 'threshold', 'promise', 'achieved', 'n_patients', 'n_events')
UNTOLD = ('recalibration', 'log_loss', 'chosen_on')  # what an answer does not repeat


@dataclass(frozen=True)
class Decisions:
    """Cells by model and side: one of the images, a list of the fused model by number of known variables."""

    content: dict[str, Any]

    def cell(self, model: str, *, side_known: bool, known: Sequence[bool] = ()) -> Cell | None:
        """What is known of an answer of ``model`` for such an input; None: nothing.

        Args:
            known: which of the variables are known; without a cell of its own it has that of their number.
        """
        side = KNOWN if side_known else UNKNOWN
        of_side = (self.content.get(model) or {}).get(side)
        if model == IMAGES or not of_side:
            return of_side or None
        by_pattern = (self.content.get(PATTERNS) or {}).get(side)
        own = by_pattern[sum(1 << i for i, is_known in enumerate(known) if is_known)] if by_pattern else None
        return own or (of_side[sum(known)] if sum(known) < len(of_side) else None)

    @property
    def site(self) -> dict[str, Any] | None:
        """Of tools/update_bundle.py: recalibration and threshold of the hospital that uses the bundle."""
        return self.content.get('site')

    def prob(self, cell: Cell | None, mean: float) -> float | None:
        """Mean prob of the members -> calibrated prob; None without calibration."""
        if not cell or not cell.get('recalibration'):
            return None
        prob = recalibrate(cell['recalibration'], np.array([mean]))
        if self.site and self.site['recalibration']:
            prob = recalibrate(self.site['recalibration'], prob)
        return float(prob[0])

    def stated(self, cell: Cell | None) -> dict[str, Any] | None:
        """Threshold of the calibrated prob (of the mean, without calibration) and what is known of it.

        That of the site, if there is one; None: there is no threshold.
        """
        about = {key: self.content.get(key) for key in ABOUT}
        known = {key: value for key, value in (cell or {}).items() if key not in UNTOLD}
        if self.site and cell and cell.get('recalibration'):
            known = {key: self.site.get(key) for key in (*ABOUT, *OF_SITE)}
        return None if known.get('threshold') is None else {**about, **known}
