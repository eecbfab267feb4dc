"""What all figures of the report share: a figure with its data, and how lines and panels look.

nothing -> Drawn, styles, an empty figure
"""

from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammo.evaluation.page.plot_style import COLORS, RC

# each colour has dashes of its own, for print in grey and for colour-blind readers
DASHES = ('-', (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)), (0, (3, 1)), (0, (1, 3)))
STYLES: list[dict[str, Any]] = [dict(color=c, linestyle=d) for c, d in zip(COLORS, DASHES, strict=True)]
MARKERS = 'os^Dvp*'
MAX_LINES, MAX_PANELS = len(STYLES), 6  # more models are in the tables only
GREY = '#767676'
EVENT, NO_EVENT = '#B34700', '#B8DDF5'  # dark and light in grey as well
REPORT_RC = RC | {'svg.hashsalt': 'report', 'savefig.dpi': 160, 'savefig.facecolor': 'white'}


class Drawn(NamedTuple):
    """One figure of the report."""

    name: str  # of its files
    section: str  # where it stands
    caption: str
    figure: Figure
    data: pd.DataFrame  # every point of it


def axes(width: float = 4.2, height: float = 3.6, **more: Any) -> tuple[Figure, Axes]:
    """An empty figure of one panel, in inches: small, so that its text is read on a telephone."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.add_subplot(**more)
