"""Figures in which every model is a line: ROC, precision-recall, decision curves.

Model by name, report -> Drawn
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from mammo.evaluation.cohort.pooling import Model, arrays
from mammo.evaluation.page.drawing import GREY, MAX_LINES, STYLES, Drawn, axes

Models = dict[str, Model]


def curves(models: Models, report: dict[str, Any]) -> Iterator[Drawn]:
    """All that the data allow."""
    of_both_classes = {n: m for n, m in models.items() if m.table.label.nunique() == 2}
    if of_both_classes:
        yield _roc(of_both_classes, report)
        yield _precision_recall(of_both_classes, report)
    rows = {name: report['models'][name]['net_benefit'] for name in models}
    rows = {name: part for name, part in list(rows.items())[:MAX_LINES] if part}
    if rows:
        yield _decision(rows)
        yield _avoided(rows)
    recalibrated = {
        name: ((report['models'][name]['recalibration'] or {}).get('platt') or {}).get('net_benefit')
        for name in rows
    }
    if any(recalibrated.values()):
        yield _decision({name: part for name, part in recalibrated.items() if part}, recalibrated=True)


def _styled(items: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    yield from zip(STYLES, items, strict=False)


def _roc(models: Models, report: dict[str, Any]) -> Drawn:
    figure, ax = axes(aspect='equal', xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    parts = []
    for style, (name, model) in _styled(models.items()):
        scores, labels = arrays(model.table)
        x, y, thresholds = roc_curve(labels, scores)
        ax.plot(x, y, label=f'{name}  {report["models"][name]["roc_auc"]["value"]:.3f}', **style)
        parts.append(
            pd.DataFrame(dict(model=name, threshold=thresholds, false_positive_rate=x, sensitivity=y))
        )
    ax.axline((0, 0), slope=1, color=GREY, linewidth=0.8)
    ax.set(xlabel='1 \u2212 specificity', ylabel='sensitivity', title='ROC (area)')
    ax.legend(loc='lower right')
    caption = 'Sensitivity against 1 \u2212 specificity, by patient; the diagonal is chance.'
    return Drawn('roc', 'discrimination', caption, figure, pd.concat(parts))


def _precision_recall(models: Models, report: dict[str, Any]) -> Drawn:
    figure, ax = axes(aspect='equal', xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    parts = []
    for style, (name, model) in _styled(models.items()):
        scores, labels = arrays(model.table)
        precision, recall, _ = precision_recall_curve(labels, scores)
        label = f'{name}  {report["models"][name]["pr_auc"]["value"]:.3f}'
        ax.plot(recall, precision, label=label, drawstyle='steps-post', **style)
        ax.axhline(labels.mean(), color=GREY, linewidth=0.8)
        parts.append(pd.DataFrame(dict(model=name, recall=recall, precision=precision)))
    ax.set(xlabel='recall (sensitivity)', ylabel='precision (PPV)', title='Precision-recall (area)')
    ax.legend(loc='best')
    caption = 'The area is the average precision; the grey line, the event rate, is chance.'
    return Drawn('pr', 'discrimination', caption, figure, pd.concat(parts))


def _decision(rows: dict[str, list[dict]], recalibrated: bool = False) -> Drawn:
    figure, ax = axes()
    frames = {name: pd.DataFrame(part) for name, part in rows.items()}
    for style, (name, frame) in _styled(frames.items()):
        ax.plot(frame.threshold, frame.model, label=name, **style)
        ax.fill_between(
            frame.threshold, frame.ci_low, frame.ci_high, color=style['color'], alpha=0.12, linewidth=0
        )
        ax.plot(frame.threshold, frame.treat_all, color=GREY, linewidth=1)
    ax.plot([], [], color=GREY, linewidth=1, label='biopsy for all')
    ax.axhline(0, color='black', linewidth=1, label='biopsy for none')
    top = max(frame.model.max() for frame in frames.values())
    low, high = frame.threshold.iloc[[0, -1]]
    title = 'Decision curve' + (', recalibrated' if recalibrated else '')
    ax.set(ylim=(-0.15 * max(top, 0.1), max(top, 0.05) * 1.3), xlim=(low, high), title=title)
    ax.set(xlabel='threshold probability', ylabel='net benefit')
    ax.legend()
    scope = 'of the risks after logistic recalibration on development data' if recalibrated else 'of biopsy'
    caption = f'Net benefit {scope} from the threshold probability up; bands are 95 % intervals.'
    name = 'decision_recalibrated' if recalibrated else 'decision'
    data = pd.concat([frame.assign(model_name=name) for name, frame in frames.items()])
    return Drawn(name, 'use', caption, figure, data)


def _avoided(rows: dict[str, list[dict]]) -> Drawn:
    figure, ax = axes()
    frames = {name: pd.DataFrame(part) for name, part in rows.items()}
    for style, (name, frame) in _styled(frames.items()):
        ax.plot(frame.threshold, frame.avoided_per_100, label=name, **style)
    ax.axhline(0, color='black', linewidth=1)
    in_view = np.concatenate([f.avoided_per_100[f.threshold >= 0.05] for f in frames.values()])
    bottom = max(float(np.min(in_view, initial=0)) * 1.1, -50)
    low, high = frame.threshold.iloc[[0, -1]]
    ax.set(xlim=(low, high), ylim=(bottom, max(float(np.max(in_view, initial=0)) * 1.1, 10)))
    ax.set(xlabel='threshold probability', ylabel='per 100 patients', title='Biopsies avoided, net')
    ax.legend()
    caption = (
        'Net biopsies avoided per 100 patients without missing more events than biopsy for all allows for.'
    )
    columns = ['threshold', 'avoided_per_100']
    data = pd.concat([frame[columns].assign(model_name=name) for name, frame in frames.items()])
    return Drawn('avoided', 'use', caption, figure, data)
