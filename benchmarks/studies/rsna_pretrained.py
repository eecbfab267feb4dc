"""Claim 1 of the study on RSNA 2022 judged: the frozen, averaged, linear protocol on every network.

WORK/pretraining/<arm>_fold<N>/maps -> tables in Markdown
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.studies.rsna_breasts import Aucs, Study, linear
from benchmarks.studies.rsna_pretraining import ARMS, FIRST_FOLD, folder_of
from mammo.crossval.jobs.state import FINISHED

FEW_WOMEN, N_DRAWS = (60, 240), 20
Maps = Mapping[str, pd.DataFrame]  # averaged, by breast, of each outer fold; (n_breasts, C)


def finished_arms(study: Study) -> dict[str, Maps]:
    """Averaged maps by breast of every arm of claim 1 whose maps are there, in the order of the arms.

    Of each, by outer fold; the start of an arm is one network for all folds.
    """
    arms = {}
    for arm in ARMS:
        folders = {fold: folder_of(study.work, arm, fold) / 'maps' for fold in study.folds}
        maps = {path: study.averaged_maps(path) for path in finished(folders.values())}
        if maps:
            arms[arm.name] = {fold: maps[path] for fold, path in folders.items() if path in maps}
    return arms


def finished(folders: Iterable[Path]) -> set[Path]:
    """Those whose maps are all there."""
    return {folder for folder in folders if (folder / FINISHED).is_file()}


def in_folds(study: Study, folds: Sequence[str]) -> Study:
    """The study with some of its outer folds."""
    study = copy(study)
    study.folds = list(folds)
    return study


def arm_scores(study: Study, maps: Maps, task: str, among: pd.Index | None = None) -> pd.Series:
    """Claim 1, the frozen, averaged, linear protocol: probability of each breast of the study's folds."""
    of_folds = (
        study.cross_fitted(maps[fold], task, linear(0.01), folds=[fold], among=among) for fold in study.folds
    )
    return pd.concat(of_folds)


def pretraining_tables(study: Study, arms: dict[str, Maps], task: str) -> str:
    """Claim 1: learning curves and gains on the first fold, and gains on all folds."""
    first = in_folds(study, [FIRST_FOLD])
    here, all_folds = (of_folds(arms, of.folds) for of in (first, study))
    parts = [learning_table(first, here, task), gain_table(first, here, task)] if here else []
    parts += [gain_table(study, all_folds, task)] if all_folds else []
    return '\n\n'.join(parts)


def of_folds(arms: dict[str, Maps], folds: Sequence[str]) -> dict[str, Maps]:
    """Arms that have maps of all the folds."""
    return {arm: maps for arm, maps in arms.items() if maps.keys() >= set(folds)}


def gain_table(study: Study, arms: dict[str, Maps], task: str) -> str:
    """Arms of claim 1, each against its start."""
    aucs = Aucs(study, {arm: arm_scores(study, maps, task) for arm, maps in arms.items()}, task)
    rows = []
    for arm in arms:
        start = arm.split('_')[-1]
        gain = aucs.difference(arm, start) if arm != start and start in arms else ''
        rows.append(f'| {arm} | {aucs.auc(arm)} | {gain} |')
    head = f'{task}, folds {", ".join(study.folds)}: {aucs.n} breasts, {aucs.n_pos} positive'
    return '\n'.join([head, '', '| | all women | against its start |', '|---|---|---|', *rows])


def learning_table(study: Study, arms: dict[str, Maps], task: str) -> str:
    """AUC of the arms by the number of women learned from; the mean over draws."""
    head = f'| {task} | ' + ' | '.join(f'{n} women' for n in FEW_WOMEN) + ' |'
    rows = [
        f'| {arm} | ' + ' | '.join(f'{learned_from(study, maps, task, n):.3f}' for n in FEW_WOMEN) + ' |'
        for arm, maps in arms.items()
    ]
    return '\n'.join([head, '|---' * (len(FEW_WOMEN) + 1) + '|', *rows])


def learned_from(study: Study, maps: Maps, task: str, n_women: int) -> float:
    """AUC of models that learn from few women, mean over draws. NaN where there are fewer."""
    fold = study.folds[0]
    breasts = study.breasts.loc[study.parts[fold, 'train'] + study.parts[fold, 'val']].dropna(subset=task)
    women, values = breasts.woman.drop_duplicates(), []
    if len(women) <= n_women:
        return np.nan
    for seed in range(N_DRAWS):
        drawn = women.sample(n_women, random_state=seed)
        among = breasts.index[breasts.woman.isin(drawn)]
        score = arm_scores(study, maps, task, among)
        truth = study.breasts[task].reindex(score.index)
        values.append(roc_auc_score(truth[truth.notna()], score[truth.notna()]))
    return float(np.mean(values))
