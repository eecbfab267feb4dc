"""Figures of the study on RSNA 2022: necks with intervals, and learning curves of pretraining.

work dir of benchmarks/studies/rsna.py -> OUT/rsna_necks.png, OUT/rsna_learning_curves.png
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.studies.rsna_breasts import Aucs, Study, linear
from benchmarks.studies.rsna_pretrained import (
    FEW_WOMEN,
    Maps,
    arm_scores,
    finished_arms,
    in_folds,
    learned_from,
    of_folds,
)
from benchmarks.studies.rsna_pretraining import FIRST_FOLD
from benchmarks.studies.rsna_tables import mean_score, runs

TASKS = ('cancer', 'dense')
NECK_NAMES = dict(
    transformer='Transformer, as published',
    gap='average pooling',
    mean_token_transformer='Transformer from the mean',
    standardised_pooling='standardised pooling',
    attention_pooling='attention pooling',
    DwiseresBlock='depthwise blocks',
)
ARM_LABELS = dict(
    barlowtwins='Barlow Twins', barlowtwins_grey='Barlow Twins, grey kept', byol='BYOL', swav='SwAV'
)
LABEL_GAP_FRAC = 0.035  # of the axis, between the names of two curves
START_LABELS = dict(imagenet='ImageNet', random='random')
ARM_COLORS = dict(imagenet='tab:blue', random='tab:orange')  # by start


def figures(work: Path, out: Path) -> None:
    """Both figures, of what has been run."""
    study = Study(work)
    draw_necks(study, study.averaged_maps(work / 'maps_gap'), out / 'rsna_necks.png')
    if arms := of_folds(finished_arms(study), [FIRST_FOLD]):
        draw_learning_curves(in_folds(study, [FIRST_FOLD]), arms, out / 'rsna_learning_curves.png')


def readable(neck: str) -> str:
    """``transformer_within_breast@1e-4`` -> ``Transformer, as published, within the breast, 1e-4``."""
    base, _, rate = neck.partition('@')
    name, within, _ = base.partition('_within_breast')
    parts = [
        NECK_NAMES.get(name, name),
        'within the breast' if within else '',
        f'rate {rate}' if rate else '',
    ]
    return ', '.join(part for part in parts if part)


def draw_necks(study: Study, images: pd.DataFrame, path: Path) -> None:
    """AUC of every neck with its interval by woman; (n_breasts, C)."""
    folders = runs(study)
    figure, axes = plt.subplots(1, len(TASKS), figsize=(9, 0.35 * len(folders) + 1.4), sharey=True)
    for ax, task in zip(axes, TASKS, strict=True):
        scores = {readable(neck): mean_score(study, paths, task) for neck, paths in folders.items()}
        scores['logistic regression on the average'] = study.cross_fitted(images, task, linear(0.01))
        aucs = Aucs(study, scores, task)
        for row, name in enumerate(scores):
            value, low, high = aucs.estimate(name)
            ax.errorbar(
                value, row, xerr=[[value - low], [high - value]], fmt='o', color='tab:blue', capsize=2
            )
        ax.set(yticks=range(len(scores)), yticklabels=list(scores), xlabel=f'AUC, {task} ({aucs.n} breasts)')
        ax.grid(axis='x', alpha=0.3)
    axes[0].axvline(0.5, color='grey', linewidth=1)
    axes[0].invert_yaxis()
    _save(figure, path)


def draw_learning_curves(study: Study, arms: dict[str, Maps], path: Path) -> None:
    """AUC of the frozen, averaged, linear protocol against the number of women learned from."""
    figure, axes = plt.subplots(1, len(TASKS), figsize=(9, 4))
    for ax, task in zip(axes, TASKS, strict=True):
        scores = {arm: arm_scores(study, maps, task) for arm, maps in arms.items()}
        aucs = Aucs(study, scores, task)
        labelled = study.breasts.loc[
            study.parts[study.folds[0], 'train'] + study.parts[study.folds[0], 'val']
        ]
        n_all = labelled.dropna(subset=task).woman.nunique()
        ends: dict[str, float] = {}
        for arm, maps in arms.items():
            method, _, start = arm.rpartition('_')
            values = [learned_from(study, maps, task, n) for n in FEW_WOMEN] + [aucs.estimate(arm)[0]]
            style = dict(color=ARM_COLORS[start], marker='o', linestyle='-' if method else ':')
            ax.plot([*FEW_WOMEN, n_all], values, **style)
            ends[arm] = values[-1]
        ax.set(xscale='log', xlim=(50, 5 * n_all), xlabel='women learned from', ylabel=f'AUC, {task}')
        ax.set_xticks([*FEW_WOMEN, n_all], [*map(str, FEW_WOMEN), str(n_all)], minor=False)
        ax.minorticks_off()
        for arm, place in spread(ends, LABEL_GAP_FRAC * np.ptp(ax.get_ylim())).items():
            label = ARM_LABELS.get(arm.rpartition('_')[0], 'no pretraining')
            ax.text(
                1.06 * n_all, place, label, color=ARM_COLORS[arm.rpartition('_')[2]], fontsize=7, va='center'
            )
    for start, color in ARM_COLORS.items():
        axes[0].plot([], [], color=color, label=f'from {START_LABELS[start]} weights')
    axes[0].legend(fontsize=8, loc='upper left')
    _save(figure, path)


def spread(places: dict[str, float], gap: float) -> dict[str, float]:
    """Places in the same order, none nearer to the next than a gap."""
    moved: dict[str, float] = {}
    for name in sorted(places, key=lambda n: places[n]):
        moved[name] = max(places[name], max(moved.values(), default=-np.inf) + gap)
    return moved


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
