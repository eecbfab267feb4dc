"""What a bundle knows of its answers: calibration and threshold by model, side, number of known values.

decision.json -> Decisions; side known or not, number of known variables -> the cell that belongs to an input
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo.evaluation.calibration import recalibrate
from mammo.evaluation.cells import Cell
from mammo.fusion.partial import KNOWN, UNKNOWN

IMAGES = 'mammograms'  # name of the model that sees images only, as in tools/cross_validate.py
FUSED = 'fused'


@dataclass(frozen=True)
class Decisions:
    """Cells by model and side: one of the images, a list of the fused model by number of known variables."""

    content: dict[str, Any]

    def cell(self, model: str, *, side_known: bool, n_known: int = 0) -> Cell | None:
        """What is known of an answer of ``model`` for such an input; None: nothing."""
        of_side = (self.content.get(model) or {}).get(KNOWN if side_known else UNKNOWN)
        if model == IMAGES or not of_side:
            return of_side or None
        return of_side[n_known] if n_known < len(of_side) else None

    @property
    def about(self) -> dict[str, Any]:
        """What holds for all cells: target_sensitivity, confidence, chosen_on."""
        return {k: self.content.get(k) for k in ('target_sensitivity', 'confidence', 'chosen_on')}

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

    def threshold(self, cell: Cell | None) -> float | None:
        """Of the calibrated prob, or where there is no calibration of the mean."""
        if self.site and cell and cell.get('recalibration'):
            return self.site['threshold']
        return cell.get('threshold') if cell else None
