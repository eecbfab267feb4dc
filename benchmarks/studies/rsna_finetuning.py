"""Claim 1 of the study on RSNA 2022 by fine-tuning: all layers learn on, from few women and from all.

WORK/{study, folds, pretraining} -> WORK/finetuning/<arm>_<women>/predictions.json -> a table in Markdown
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.studies.rsna_breasts import Aucs, Study
from benchmarks.studies.rsna_pretrained import FEW_WOMEN, in_folds
from benchmarks.studies.rsna_pretraining import ARMS, FIRST_FOLD, Arm, network_of
from benchmarks.studies.steps import Step, run, step
from mammo.evaluation.cohort.reading import read_patients
from mammo.records.meta import read_meta, write_meta

CONFIG = 'configs/rsna/finetuned_320_standardised_pooling.py'
FINETUNED = ('imagenet', 'barlowtwins_imagenet')
SIZES = (*map(str, FEW_WOMEN), 'all')
N_IMAGES = 1920  # that a network sees: 120 steps of 16, whatever the number of women
N_VAL_WOMEN = 20  # whom training wants to look at; nothing is chosen by them


def finetune(work: Path, weights: Path, *, dry: bool) -> None:
    """Networks of the first outer fold, on the same women from either start."""
    if not dry:
        write_folds(work)
    for women, arm in itertools.product(SIZES, [arm for arm in ARMS if arm.name in FINETUNED]):
        run(steps_of(arm, women, work, weights), dry=dry)


def fold_of(work: Path, women: str) -> Path:
    """Folder with the women of one size."""
    return work / f'finetuning/folds/{women}'


def write_folds(work: Path) -> None:
    """Of the women that the first outer fold does not test: so many to learn from, others to look at."""
    parts = {part: read_meta(work / f'folds/{FIRST_FOLD}/0/{part}.json') for part in ('train', 'val', 'test')}
    tasks = parts['test']['metainfo']['tasks']
    inside = parts['train']['data_list'] + parts['val']['data_list']
    women = sorted({item['patient_id'] for item in inside})
    drawn = np.random.default_rng(0).permutation(women).tolist()
    val, rest = drawn[:N_VAL_WOMEN], drawn[N_VAL_WOMEN:]
    for size in SIZES:
        train = rest if size == 'all' else rest[: int(size)]
        for part, of_part in (('train', train), ('val', val)):
            items = [item for item in inside if item['patient_id'] in set(of_part)]
            write_meta(fold_of(work, size) / f'{part}.json', items, tasks)
        write_meta(fold_of(work, size) / 'test.json', parts['test']['data_list'], tasks)


def steps_of(arm: Arm, women: str, work: Path, weights: Path) -> Iterator[Step]:
    """Training to the last epoch, and the predictions of its network for the women that are tested."""
    folder, fold = work / f'finetuning/{arm.name}_{women}', fold_of(work, women)
    train = fold / 'train.json'
    n_images = len(read_meta(train)['data_list']) if train.is_file() else N_IMAGES  # a dry run wrote none
    epochs = max(1, round(N_IMAGES / n_images))
    last = folder / f'epoch_{epochs}.pth'
    data = ['--fold', fold, '--work-dir', folder, '--amp']
    roots = [f'{part}_dataloader.dataset.data_root={work / "study"}/' for part in ('train', 'val', 'test')]
    options = ['--cfg-options', *roots, f'train_cfg.max_epochs={epochs}']
    options += network_of(arm, work, FIRST_FOLD, weights)
    yield step('tools/train.py', CONFIG, *data, '--resume', *options, done=last)
    out = folder / 'predictions.json'
    yield step('tools/test.py', CONFIG, last, *data, '--out', out, *options, done=out)


def finetuning_table(study: Study, task: str) -> str:
    """AUC of either start by the number of women, and the difference on the same breasts."""
    study, (start, pretrained) = in_folds(study, [FIRST_FOLD]), FINETUNED
    rows = []
    for women in SIZES:
        files = {arm: study.work / f'finetuning/{arm}_{women}/predictions.json' for arm in FINETUNED}
        if all(path.is_file() for path in files.values()):
            scores = {
                arm: read_patients([path], task, 'mean', unit='breast').table.score
                for arm, path in files.items()
            }
            aucs = Aucs(study, scores, task)
            gain = aucs.difference(pretrained, start)
            rows.append(f'| {women} | {aucs.auc(start)} | {aucs.auc(pretrained)} | {gain} |')
    return '\n'.join([f'| {task}, women | {start} | {pretrained} | difference |', '|---|---|---|---|', *rows])
