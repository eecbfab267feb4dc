"""Figures of groups: what happens to 100 patients, and a forest of subgroups.

report -> Drawn
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mammo.evaluation.page.drawing import EVENT, MARKERS, MAX_LINES, NO_EVENT, STYLES, Drawn, axes

ENDS = ('value', 'ci_low', 'ci_high')
OUTCOMES = {
    'spared, without event': ('#1B7F4D', 'white', ''),
    'spared, event missed': ('#111111', 'white', 'xx'),
    'biopsied, event found': (EVENT, 'white', ''),
    'biopsied, without event': (NO_EVENT, 'black', ''),
}


def bars(report: dict[str, Any]) -> Iterator[Drawn]:
    """All that the data allow."""
    if report['settings']['kind'] == 'regression':
        return
    rows = {name: _outcomes(model) for name, model in report['models'].items()}
    rows = {name: row for name, row in list(rows.items())[:MAX_LINES] if row}
    if rows:
        yield _outcome(pd.DataFrame(rows).T)
    if any(model['subgroups'] for model in report['models'].values()):
        yield _forest(report)
    if any(model['centres'] for model in report['models'].values()):
        yield _centres(report)


def chosen(model: dict[str, Any]) -> dict[str, Any]:
    """The threshold that the page speaks of: from development data where there are some."""
    return model['slnb']['development'] or model['slnb']['test']


def _outcomes(model: dict[str, Any]) -> dict[str, float] | None:
    """Patients of each outcome, per 100."""
    at = chosen(model)
    if at['reduction_rate'].get('value') is None or at['fnr'].get('value') is None:
        return None
    n = model['n_patients']
    missed, events = at['fnr']['count'], at['fnr']['total']
    spared = round(at['reduction_rate']['value'] * n)
    counts = (spared - missed, missed, events - missed, n - spared - (events - missed))
    return {name: 100 * count / n for name, count in zip(OUTCOMES, counts, strict=True)}


def _outcome(rows: pd.DataFrame) -> Drawn:
    figure, ax = axes(width=4.6, height=1.35 + 0.42 * len(rows))
    left = pd.Series(0.0, rows.index)
    for name, (color, ink, hatch) in OUTCOMES.items():
        ax.barh(
            rows.index, rows[name], left=left, color=color, hatch=hatch, edgecolor=ink, label=name, height=0.7
        )
        for y, (start, width) in enumerate(zip(left, rows[name], strict=True)):
            if width >= 6:
                box = dict(boxstyle='square,pad=0.1', color=color) if hatch else None
                ax.text(start + width / 2, y, f'{width:.0f}', color=ink, ha='center', va='center', bbox=box)
        left = left + rows[name]
    ax.set(xlim=(0, 100), xlabel='of 100 patients')
    ax.invert_yaxis()
    ax.spines['left'].set_visible(False)
    ax.legend(loc='lower center', bbox_to_anchor=(0.45, 1.0), ncols=2, handlelength=1.2)
    caption = 'What the chosen threshold does to 100 patients like these.'
    return Drawn('outcome', 'summary', caption, figure, rows.rename_axis('model').reset_index())


def _forest(report: dict[str, Any]) -> Drawn:
    rows = [
        dict(model=name, group=f'{row["column"]} {row["group"]}', n=row['n_patients'], events=row['n_events'])
        | {key: row['roc_auc'][key] for key in ENDS}
        for name, model in report['models'].items()
        for row in model['subgroups']
    ]
    caption = (
        'ROC AUC by subgroup, DeLong intervals; thin lines: all patients. Groups without mark are too small.'
    )
    return Drawn('subgroups', 'subgroups', caption, *_intervals(rows, report))


def _centres(report: dict[str, Any]) -> Drawn:
    rows = [
        dict(model=name, group=row['cohort'], n=row['n_patients'], events=row['n_events'])
        | {key: row['roc_auc'][key] for key in ENDS}
        for name, model in report['models'].items()
        for row in (model['centres'] or dict(cohorts=[]))['cohorts']
    ]
    for name, model in report['models'].items():
        summary = model['centres'] and model['centres']['summary']['roc_auc']
        if summary and summary['value'] is not None:
            rows.append(dict(model=name, group='mean') | {key: summary[key] for key in ENDS})
            if summary['prediction_low'] is not None:
                new = dict(value=None, ci_low=summary['prediction_low'], ci_high=summary['prediction_high'])
                rows.append(dict(model=name, group='a new centre') | new)
    caption = (
        'ROC AUC by centre, their random-effects mean, and the 95 % prediction interval of a new centre.'
    )
    return Drawn('centres', 'centres', caption, *_intervals(rows, report))


def _intervals(rows: list[dict[str, Any]], report: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """One line per group, one mark per model."""
    frame = pd.DataFrame(rows).astype(dict.fromkeys(ENDS, float))
    names, groups = list(report['models'])[:MAX_LINES], frame.group.drop_duplicates().tolist()
    figure, ax = axes(width=4.6, height=1.4 + 0.17 * len(groups) * (len(names) + 0.6))
    for i, (style, name) in enumerate(zip(STYLES, names, strict=False)):
        part = frame[(frame.model == name) & frame.ci_low.notna()]
        y = part.group.map(groups.index) + (i - (len(names) - 1) / 2) * 0.6 / len(names)
        ax.hlines(y, part.ci_low, part.ci_high, color=style['color'])
        ax.plot(part.value, y, MARKERS[i], color=style['color'], markersize=5)
        whole = report['models'][name]['roc_auc']['value']
        if whole is not None:
            ax.axvline(whole, linewidth=0.8, **{**style, 'alpha': 0.6})
    ax.set(yticks=range(len(groups)), yticklabels=groups, ylim=(len(groups) - 0.4, -0.6))
    ax.set(xlabel='ROC AUC, 95 % interval')
    handles = [
        Line2D([], [], color=s['color'], marker=m, label=n)
        for s, m, n in zip(STYLES, MARKERS, names, strict=False)
    ]
    ax.legend(handles=handles, loc='lower center', bbox_to_anchor=(0.4, 1.0), ncols=2)
    return figure, frame
