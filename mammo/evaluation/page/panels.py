"""Figures of one model each, which the page puts side by side: calibration, waterfall, scatter.

Model by name, report -> Drawn
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mammo.evaluation.clinical_use import calibration
from mammo.evaluation.cohort.pooling import Model, arrays
from mammo.evaluation.entry.stability import with_mean
from mammo.evaluation.estimates import UndefinedError
from mammo.evaluation.page.drawing import EVENT, GREY, MAX_PANELS, NO_EVENT, Drawn, axes
from mammo.evaluation.statistics import proportion

BLUE = '#0072B2'
CALIBRATION = (
    'Observed risk against predicted probability: smoothed by logistic regression on a restricted cubic '
    'spline, points are equal groups with Wilson intervals; the diagonal is ideal. Below: patients with '
    '(dark) and without (light) the event.'
)
WATERFALL = 'One bar per patient, by rising distance of the score from the threshold that is hers.'
SCATTER = 'Observed against predicted value, by patient; the diagonal is ideal.'
STABILITY = 'Scores of the single members against their mean, by patient.'
Members = Mapping[str, pd.DataFrame | None]
Plot = Callable[[str, Model, dict[str, Any]], tuple[Figure, pd.DataFrame]]


def panels(models: dict[str, Model], report: dict[str, Any]) -> Iterator[Drawn]:
    """All that the data allow."""
    if report['settings']['kind'] == 'regression':
        yield from _each('scatter', 'summary', SCATTER, _scatter, models, report)
        return
    of_probs = {name: m for name, m in models.items() if report['models'][name]['net_benefit']}
    yield from _each('calibration', 'calibration', CALIBRATION, _calibration, of_probs, report)
    yield from _each('waterfall', 'scores', WATERFALL, _waterfall, models, report)


def _each(
    name: str, section: str, caption: str, plot: Plot, models: dict[str, Model], report: dict[str, Any]
) -> Iterator[Drawn]:
    for i, (model_name, model) in enumerate(islice(models.items(), MAX_PANELS), 1):
        figure, data = plot(model_name, model, report)
        yield Drawn(
            f'{name}_{i}', section, f'{model_name}. {caption}' if i == 1 else model_name, figure, data
        )


def _calibration(name: str, model: Model, _report: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    scores, labels = arrays(model.table)
    figure = Figure(figsize=(4.2, 4.2), layout='constrained')
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    points = pd.DataFrame(calibration.grouped_risk(scores, labels), columns=['prob', 'events', 'patients'])
    shares = pd.DataFrame([proportion(e, n) for e, n in zip(points.events, points.patients, strict=True)])
    points = points.assign(risk=shares.value, low=shares.ci_low, high=shares.ci_high, part='group')
    try:
        curve = pd.DataFrame(calibration.smooth_curve(scores, labels))
        ax.fill_between(curve.prob, curve.low, curve.high, color=BLUE, alpha=0.18, linewidth=0)
        ax.plot(curve.prob, curve.risk, color=BLUE, label='smoothed, 95 % band')
    except UndefinedError as reason:
        curve = points[:0]
        ax.text(0.02, 0.97, f'no smoothed curve:\n{reason}', fontsize=7, va='top', transform=ax.transAxes)
    ax.vlines(points.prob, points.low, points.high, color='black', linewidth=0.8)
    ax.plot(points.prob, points.risk, 'o', color='black', markersize=3)
    ax.axline((0, 0), slope=1, color=GREY, linewidth=0.8)
    top = min(1.0, float(np.quantile(scores, 0.995)) * 1.15 + 0.05)
    highest = max(top, float(points.high.max()), *curve.get('high', [0.0]))
    ax.set(xlim=(0, top), ylim=(0, min(highest + 0.02, 1)), ylabel='observed risk', title=name)
    bins = np.linspace(0, top, 31)
    below.hist([scores[labels == 1], scores[labels == 0]], bins, stacked=True, color=[EVENT, NO_EVENT])
    below.set(xlabel='predicted probability', ylabel='patients')
    return figure, pd.concat([points, curve.assign(part='smoothed')])


def _waterfall(name: str, model: Model, report: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    slnb = report['models'][name]['slnb']
    scores, labels = arrays(model.table)
    threshold, origin = np.full(len(scores), np.median(scores)), 'median'
    if model.thresholds:
        threshold, origin = model.table.threshold.to_numpy(float), 'threshold from development'
    elif slnb['test']['threshold'] is not None:
        threshold, origin = np.full(len(scores), slnb['test']['threshold']), 'threshold from these patients'
    distance = scores - threshold
    order, edges = np.argsort(distance, kind='stable'), np.arange(len(scores) + 1)
    figure, ax = axes(height=3.0)
    for label, color, text in ((0, NO_EVENT, 'no event'), (1, EVENT, 'event')):
        height = np.where(labels[order] == label, distance[order], 0)
        ax.stairs(height, edges, baseline=0, fill=True, color=color, rasterized=True, label=text)
    ax.axhline(0, color='black', linewidth=0.8)
    by_fold = ' (of the outer fold)' if len(model.thresholds) > 1 else ''
    ax.set(xlabel='patients', ylabel='score \u2212 threshold', title=name, xticks=[])
    ax.legend(loc='upper left', title=f'line: {origin}{by_fold}', title_fontsize=8, alignment='left')
    data = pd.DataFrame(dict(score=scores, label=labels, score_minus_threshold=distance)).iloc[order]
    return figure, data


def _scatter(name: str, model: Model, _report: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    scores, labels = arrays(model.table)
    figure, ax = axes()
    ax.plot(scores, labels, 'o', markersize=3, alpha=0.5, color=BLUE, rasterized=True)
    ax.axline((float(labels.mean()),) * 2, slope=1, color=GREY, linewidth=0.8)
    ax.set(xlabel='predicted', ylabel='observed', title=name)
    return figure, pd.DataFrame(dict(predicted=scores, observed=labels))


def instability(models: dict[str, Model], members: Members) -> Iterator[Drawn]:
    """Prediction instability plot (Riley & Collins 2023) of every model whose members are known."""
    tables = {name: table for name, table in members.items() if table is not None}
    for i, (name, table) in enumerate(islice(tables.items(), MAX_PANELS), 1):
        together = with_mean(table, models[name].table)
        figure, ax = axes()
        ax.plot(together['mean'], together.score, '.', markersize=2, alpha=0.4, color=BLUE, rasterized=True)
        ax.axline((float(together['mean'].mean()),) * 2, slope=1, color=GREY, linewidth=0.8)
        ax.set(xlabel='mean that was evaluated', ylabel='single members', title=name)
        yield Drawn(f'instability_{i}', 'stability', STABILITY, figure, together[['mean', 'score']])
