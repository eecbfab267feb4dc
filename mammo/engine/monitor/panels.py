"""The curves of a run as a picture: one colour per task, losses of training and validation in one unit.

{panel: {line: {epoch: value}}} -> figure
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mammo.evaluation.page import plot_style

Line = dict[int, float]  # epoch -> value
Panels = dict[str, dict[str, Line]]
BOTH = 'loss'
TITLES = {
    BOTH: 'loss: validation, and dotted training',
    'train loss': 'loss, training',
    'val loss': 'loss, validation',
    'val auc': 'ROC AUC, validation, and dotted PR AUC',
    'val score': 'R2, validation',
    'train lr': 'learning rate',
    'train norm': 'norm of the gradient',
    'val accuracy': 'balanced accuracy, held-out',
    'val rank': 'effective rank of the embedding, held-out',
    'val std': 'std of the normalised embedding, held-out',
}
KINDS = ('_loss', '_roc_auc', '_pr_auc', '_r2_score')  # what follows the task in the name of a line
SECOND = ('_pr_auc', ', training')  # ends of lines that are dotted beside the first of their task
LOG_FROM = 30.0  # ratio of losses from which an axis is logarithmic
RC: Any = plot_style.RC | {'lines.markersize': 3, 'savefig.dpi': 120}


def draw(panels: Panels, factors: Mapping[str, float] | None = None, chosen: int | None = None) -> Figure:
    """One panel per kind of number, three to a row; known kinds first.

    Args:
        panels: as read; see :mod:`mammo.engine.monitor.curves`.
        factors: by task, what turns its training loss into the unit of its validation loss.
        chosen: epoch of the best checkpoint, marked in all panels.
    """
    panels = on_one_footing(panels, factors or {})
    order = sorted(panels, key=lambda name: (*TITLES, name).index(name))
    stems = dict.fromkeys(_stem(label) for name in order for label in panels[name])
    places = {stem: i for i, stem in enumerate(stems)}
    n_columns = min(3, len(order))
    n_rows = -(-len(order) // n_columns)
    figure = Figure(figsize=(4.2 * n_columns, 3.4 * n_rows), layout='constrained')
    for i, name in enumerate(order):
        ax = figure.add_subplot(n_rows, n_columns, i + 1)
        _panel(ax, name, panels[name], places)
        if chosen is not None:
            ax.axvline(chosen, color='0.75', linewidth=4, alpha=0.5, zorder=0)
    if chosen is not None:
        figure.suptitle(f'grey: epoch {chosen}, the checkpoint that validation has chosen', fontsize=9)
    return figure


def on_one_footing(panels: Panels, factors: Mapping[str, float]) -> Panels:
    """Losses that training and validation share as one panel, in the unit of the validation.

    A training loss is weighted, and of standardised targets without unit; the sum of them has no
    counterpart in the validation and is left out.
    """
    training, validation = panels.get('train loss', {}), panels.get('val loss', {})
    shared = [label for label in validation if label in training]
    if not shared:
        return panels
    lines: dict[str, Line] = {}
    for label in validation:
        lines[label] = validation[label]
        if label in training:
            factor = factors.get(_stem(label), 1.0)
            lines[f'{label}, training'] = {epoch: factor * v for epoch, v in training[label].items()}
    rest = {label: line for label, line in training.items() if label not in (*shared, 'loss')}
    others = {name: panel for name, panel in panels.items() if name not in ('train loss', 'val loss')}
    return {BOTH: lines, **({'train loss': rest} if rest else {}), **others}


def _panel(ax: Axes, name: str, lines: dict[str, Line], places: Mapping[str, int]) -> None:
    for label, line in lines.items():
        epochs, stem = sorted(line), _stem(label)
        round_, i = divmod(places[stem], len(plot_style.COLORS))
        is_second = label.endswith(SECOND)
        style = ':' if is_second else ('-', '--')[round_ % 2]  # after one round of colours the dashes change
        values = [line[epoch] for epoch in epochs]
        line_name = stem if stem != label and not is_second else label
        ax.plot(epochs, values, color=plot_style.COLORS[i], linestyle=style, marker='.',
                label=None if is_second and len(lines) > 2 else line_name)  # fmt: skip
    ax.set(title=TITLES.get(name, name), xlabel='epoch')
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    finite = [value for line in lines.values() for value in line.values() if value == value]
    if name.endswith('loss') and finite and 0 < LOG_FROM * min(finite) < max(finite):
        ax.set_yscale('log')
    if len(lines) > 1:
        ax.legend(loc='upper center', bbox_to_anchor=(0.5, -0.2), ncols=2)


def _stem(label: str) -> str:
    """The task of a line; a line of no task is its own."""
    label = label.removesuffix(', training')
    kind = next((kind for kind in KINDS if label.endswith(kind)), '')
    return label.removesuffix(kind) or label
