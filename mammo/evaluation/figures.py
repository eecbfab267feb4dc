"""Figures of the report, for print, in grey and for colour-blind readers: each line has its own dashes.

name -> scores (n,), labels (n,), and the report -> name -> matplotlib figure
"""

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from mammo.evaluation import calibration
from mammo.evaluation.plot_style import COLORS, RC
from mammo.evaluation.statistics import UndefinedError, proportion, require_probs

Scored = dict[str, tuple[NDArray, NDArray]]
# each colour has dashes of its own
DASHES = ('-', (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)), (0, (3, 1)), (0, (1, 3)))
STYLES: list[dict[str, Any]] = [dict(color=c, linestyle=d) for c, d in zip(COLORS, DASHES, strict=True)]
MARKERS = 'os^Dvp*'
MAX_LINES, MAX_PANELS = len(STYLES), 6  # more models are in the tables only
GREY = '#767676'
EVENT, NO_EVENT = '#B34700', '#B8DDF5'  # dark and light in grey as well
REPORT_RC = RC | {'svg.hashsalt': 'report', 'savefig.dpi': 160}


def draw(scored: Scored, report: dict[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Every figure that the data allow, one at a time."""
    with mpl.rc_context(REPORT_RC):
        if report['settings']['kind'] == 'regression':
            yield 'scatter', _panels(scored, _scatter)
            return
        both = {name: s for name, s in scored.items() if len(np.unique(s[1])) == 2}
        probs = {name: s for name, s in scored.items() if _are_probs(s[0])}
        if both:
            yield 'roc', _lines(both, report, _roc)
            yield 'pr', _lines(both, report, _pr)
        if probs:
            yield 'calibration', _panels(probs, _calibration, height=3.6, rows=2)
            yield 'decision', _decision(list(probs)[:MAX_LINES], report)
        yield 'waterfall', _panels(scored, _waterfall, report=report)
        if any(model['subgroups'] for model in report['models'].values()):
            yield 'subgroups', _forest(report)


def _are_probs(scores: NDArray) -> bool:
    try:
        require_probs(scores)
    except UndefinedError:
        return False
    return True


def _lines(scored: Scored, report: dict[str, Any], plot: Any) -> Figure:
    figure = Figure(figsize=(4.2, 4.2), layout='constrained')
    ax = figure.add_subplot(aspect='equal', xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    for style, (name, (scores, labels)) in zip(STYLES, scored.items(), strict=False):
        plot(ax, scores, labels, name, report['models'][name], style)
    ax.legend(loc='lower right' if plot is _roc else 'best')
    return figure


def _roc(ax: Axes, scores: NDArray, labels: NDArray, name: str, model: dict, style: dict) -> None:
    false_positive, true_positive, _ = roc_curve(labels, scores)
    ax.plot(false_positive, true_positive, label=f'{name}  {model["roc_auc"]["value"]:.3f}', **style)
    ax.axline((0, 0), slope=1, color=GREY, linewidth=0.8)
    ax.set(xlabel='1 - specificity', ylabel='sensitivity', title='ROC (area)')


def _pr(ax: Axes, scores: NDArray, labels: NDArray, name: str, model: dict, style: dict) -> None:
    precision, recall, _ = precision_recall_curve(labels, scores)
    label = f'{name}  {model["pr_auc"]["value"]:.3f}'
    ax.plot(recall, precision, label=label, drawstyle='steps-post', **style)
    ax.axhline(labels.mean(), color=GREY, linewidth=0.8)
    ax.set(xlabel='recall (sensitivity)', ylabel='precision (PPV)', title='Precision-recall (area)')


def _panels(scored: Scored, plot: Any, height: float = 2.9, rows: int = 1, **more: Any) -> Figure:
    """One column of axes per model, three to a row."""
    shown = list(scored.items())[:MAX_PANELS]
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = Figure(figsize=(max(3.3 * n_columns, 4.6), height * n_rows), layout='constrained')
    grid = figure.subfigures(n_rows, n_columns, squeeze=False)
    for part, (name, (scores, labels)) in zip(grid.flat, shown, strict=False):
        axes = part.subplots(rows, 1, sharex=rows > 1, height_ratios=[3, 1][:rows], squeeze=False)[:, 0]
        plot(axes, scores, labels, name, **more)
    return figure


def _calibration(axes: NDArray, scores: NDArray, labels: NDArray, name: str) -> None:
    ax, below = axes
    try:
        curve = calibration.smooth_curve(scores, labels)
        ax.fill_between(curve['prob'], curve['low'], curve['high'], color='#0072B2', alpha=0.18, linewidth=0)
        ax.plot(curve['prob'], curve['risk'], color='#0072B2', label='smoothed, 95 % band')
    except UndefinedError as reason:
        ax.set_title(f'no smoothed curve: {reason}', fontsize=6, loc='right')
    for prob, events, patients in calibration.grouped_risk(scores, labels):
        ci = proportion(events, patients)
        ax.plot([prob, prob], [ci['ci_low'], ci['ci_high']], color='black', linewidth=0.8)
        ax.plot(prob, ci['value'], 'o', color='black', markersize=3)
    ax.axline((0, 0), slope=1, color=GREY, linewidth=0.8)
    top = min(1.0, float(np.quantile(scores, 0.995)) * 1.15 + 0.05)
    ax.set(xlim=(0, top), ylim=(0, max(top, 0.3)), ylabel='observed risk', title=name)
    bins = np.linspace(0, top, 31)
    below.hist([scores[labels == 1], scores[labels == 0]], bins, stacked=True, color=[EVENT, NO_EVENT])
    below.set(xlabel='predicted probability', ylabel='patients')


def _decision(names: list[str], report: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(6.4, 3.9), layout='constrained')
    ax = figure.add_subplot()
    for style, name in zip(STYLES, names, strict=False):
        rows = report['models'][name]['net_benefit']
        t = [row['threshold'] for row in rows]
        ax.plot(t, [row['model'] for row in rows], label=name, **style)
        if len(names) == 1 and rows[0]['ci_low'] is not None:
            low, high = ([row[key] for row in rows] for key in ('ci_low', 'ci_high'))
            ax.fill_between(t, low, high, color=style['color'], alpha=0.15, linewidth=0)
    ax.plot(t, [row['treat_all'] for row in rows], color=GREY, linewidth=1, label='biopsy for all')
    ax.axhline(0, color='black', linewidth=1, label='biopsy for none')
    top = max(row['model'] for name in names for row in report['models'][name]['net_benefit'])
    ax.set(ylim=(-0.15 * max(top, 0.1), max(top, 0.05) * 1.15), xlim=(0, t[-1]), title='Decision curve')
    ax.set(xlabel='threshold probability', ylabel='net benefit')
    ax.legend()
    return figure


def _waterfall(axes: NDArray, scores: NDArray, labels: NDArray, name: str, report: dict[str, Any]) -> None:
    (ax,) = axes
    slnb = report['models'][name]['slnb']
    place, threshold = next(
        ((key, s['threshold']) for key, s in slnb.items() if s and s['threshold'] is not None), ('', None)
    )
    base = threshold if threshold is not None else float(np.median(scores))
    order, edges = np.argsort(scores, kind='stable'), np.arange(len(scores) + 1)
    for label, color, text in ((0, NO_EVENT, 'no event'), (1, EVENT, 'event')):
        height = np.where(labels[order] == label, scores[order], base)
        ax.stairs(height, edges, baseline=base, fill=True, color=color, rasterized=True, label=text)
    ax.axhline(base, color='black', linewidth=0.8)
    about = f'line: threshold from {place}' if threshold is not None else 'line: median'
    ax.set(xlabel='patients by rising score', ylabel='score', title=name, xticks=[])
    ax.legend(loc='upper left', title=about, title_fontsize=8, alignment='left')


def _scatter(axes: NDArray, scores: NDArray, labels: NDArray, name: str) -> None:
    (ax,) = axes
    ax.plot(scores, labels, 'o', markersize=3, alpha=0.5, color='#0072B2', rasterized=True)
    ax.axline((float(labels.mean()),) * 2, slope=1, color=GREY, linewidth=0.8)
    ax.set(xlabel='predicted', ylabel='observed', title=name)


def _forest(report: dict[str, Any]) -> Figure:
    names = list(report['models'])[:MAX_LINES]
    found = {
        name: {(r['column'], r['group']): r['roc_auc'] for r in report['models'][name]['subgroups']}
        for name in names
    }
    rows = list(dict.fromkeys(row for name in names for row in found[name]))
    figure = Figure(figsize=(7, 1.2 + 0.16 * len(rows) * (len(names) + 1)), layout='constrained')
    ax = figure.add_subplot()
    for i, (style, name) in enumerate(zip(STYLES, names, strict=False)):
        for j, auc in (
            (rows.index(row), auc) for row, auc in found[name].items() if auc['ci_low'] is not None
        ):
            y = j + (i - (len(names) - 1) / 2) * 0.7 / len(names)
            ax.plot([auc['ci_low'], auc['ci_high']], [y, y], color=style['color'])
            ax.plot(auc['value'], y, MARKERS[i], color=style['color'], markersize=5)
        whole = report['models'][name]['roc_auc']['value']
        if whole is not None:
            ax.axvline(whole, linewidth=0.8, **{**style, 'alpha': 0.6})
    ticks = [f'{column} {group}' for column, group in rows]
    ax.set(yticks=range(len(rows)), yticklabels=ticks, xlabel='ROC AUC, 95 % interval (dashes: all patients)')
    ax.set(ylim=(len(rows) - 0.4, -0.6), title='Subgroups')
    handles = [
        Line2D([], [], color=s['color'], marker=m, label=n)
        for s, m, n in zip(STYLES, MARKERS, names, strict=False)
    ]
    ax.legend(handles=handles, loc='upper center', bbox_to_anchor=(0.5, -0.13), ncols=4)
    return figure
