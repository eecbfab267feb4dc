"""The curves of a run as one picture, across all its resumptions.

WORK_DIR/*/vis_data/scalars.json -> {panel: {line: (epochs, values)}} -> WORK_DIR/curves.png
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mammo.evaluation.page import plot_style
from mammo.records.files import replacing

Line = dict[int, float]  # epoch -> value
NOT_DRAWN = {'epoch', 'iter', 'step', 'time', 'data_time', 'memory', 'base_lr'}
TITLES = {
    'train loss': 'loss, training',
    'train lr': 'learning rate',
    'train norm': 'norm of the gradient',
    'val auc': 'area under the curve, validation',
    'val score': 'R2, validation',
    'val loss': 'loss, validation',
    'val accuracy': 'balanced accuracy, held-out',
    'val rank': 'effective rank of the embedding, held-out',
    'val std': 'std of the normalised embedding, held-out',
}
RC = plot_style.RC | {
    # after one round of colours the dashes change
    'axes.prop_cycle': cycler(linestyle=['-', '--']) * cycler(color=plot_style.COLORS),
    'lines.markersize': 3,
    'savefig.dpi': 120,
}


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draws ``curves.png`` in the work dir after an epoch and its validation, and at the end.

    Args:
        pause_s: seconds that lie between two pictures at least; epochs shorter than that share one.
    """

    priority = 'LOWEST'

    def __init__(self, pause_s: float = 10) -> None:
        self.pause_s = pause_s

    def before_train(self, runner: Runner) -> None:
        """Start the clock of the pauses."""
        self.drawn_s = time.monotonic()

    def before_train_epoch(self, runner: Runner) -> None:
        """Draw what the epoch before has added, if the last picture is old enough."""
        if runner.epoch > 0 and time.monotonic() - self.drawn_s >= self.pause_s:
            self._draw(Path(runner.work_dir))
            self.drawn_s = time.monotonic()

    def after_train(self, runner: Runner) -> None:
        """Draw the whole run."""
        self._draw(Path(runner.work_dir))

    @master_only
    def _draw(self, work_dir: Path) -> None:
        panels = read_panels(work_dir)
        if panels:
            with mpl.rc_context(RC), replacing(work_dir / 'curves.png') as tmp:
                draw(panels).savefig(tmp)


def read_panels(work_dir: Path) -> dict[str, dict[str, Line]]:
    """All that a run and its resumptions logged; what a resumption does again counts once, as it did it."""
    lines: dict[tuple[str, str], Line] = defaultdict(dict)
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):  # folders are named by time
        records = list(_records(path))
        start = min((record['epoch'] for record in records if 'iter' in record), default=math.inf)
        for line in lines.values():
            for epoch in [epoch for epoch in line if epoch >= start or start == 1]:  # 1: a fresh run
                del line[epoch]
        for name, epoch, value in _scalars(records):
            lines[name][epoch] = value
    panels: dict[str, dict[str, Line]] = defaultdict(dict)
    for (panel, label), line in lines.items():
        if line:
            panels[panel][label] = line
    return panels


def _records(path: Path) -> Iterable[dict[str, Any]]:
    for text in path.read_text().splitlines():
        try:
            yield json.loads(text)
        except json.JSONDecodeError:  # the last line of a run that was killed while it wrote
            continue


def _scalars(records: Iterable[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], int, float]]:
    """(panel, label), epoch, value; the last word of a name is its panel. Training: mean of the epoch."""
    found: dict[tuple[tuple[str, str], int], list[float]] = defaultdict(list)
    for record in records:
        mode, epoch = ('train', record['epoch']) if 'iter' in record else ('val', record['step'])
        for key, value in record.items():
            if key not in NOT_DRAWN and isinstance(value, int | float):
                panel = f'{mode} {key.rsplit("_", 1)[-1]}'
                found[(panel, key.removeprefix('monitor/')), epoch].append(value)
    for (name, epoch), values in found.items():
        yield name, epoch, sum(values) / len(values)


def draw(panels: dict[str, dict[str, Line]]) -> Figure:
    """One panel per kind of number, three to a row; known kinds first."""
    order = sorted(panels, key=lambda name: (*TITLES, name).index(name))
    n_columns = min(3, len(order))
    n_rows = -(-len(order) // n_columns)
    figure = Figure(figsize=(4.2 * n_columns, 3.4 * n_rows), layout='constrained')
    for i, name in enumerate(order):
        _panel(figure.add_subplot(n_rows, n_columns, i + 1), name, panels[name])
    return figure


def _panel(ax: Axes, name: str, lines: dict[str, Line]) -> None:
    for label, line in lines.items():
        epochs = sorted(line)
        ax.plot(epochs, [line[epoch] for epoch in epochs], marker='.', label=label)
    ax.set(title=TITLES.get(name, name), xlabel='epoch')
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(lines) > 1:
        ax.legend(loc='upper center', bbox_to_anchor=(0.5, -0.2), ncols=2)
