"""How every plot looks, of a run and of a report.

nothing -> colours, matplotlib settings
"""

from typing import Any

# Okabe & Ito 2008, "Color universal design", darkest first
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000', '#E69F00', '#56B4E9')
RC: Any = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.titlesize': 9.5,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'legend.frameon': False,
    'legend.fontsize': 8,
    'lines.linewidth': 1.6,
}
