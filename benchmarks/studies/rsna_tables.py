"""Tables of the study on RSNA 2022: AUC by breast, intervals by woman, and what explains it beside the image.

work dir of benchmarks/studies/rsna.py -> tables in Markdown
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.studies.rsna_areas import area_table
from benchmarks.studies.rsna_attention import attention_table
from benchmarks.studies.rsna_breasts import Aucs, Study, linear
from benchmarks.studies.rsna_finetuning import finetuning_table
from benchmarks.studies.rsna_pretrained import finished_arms, pretraining_tables
from mammo.evaluation.clinical_use.calibration import clipped_logit
from mammo.records.storage.png import read_grey

REFERENCE = 'gap'
PAIRS = (
    ('transformer@1e-4', 'transformer'),
    ('transformer@1e-4', REFERENCE),
    ('transformer_within_breast@1e-4', 'transformer@1e-4'),
    ('transformer_within_breast@1e-4', REFERENCE),
    ('standardised_pooling_within_breast', 'standardised_pooling'),
    ('attention_pooling', REFERENCE),
)
LINEAR = 'the logistic regression'
OTHER_SEED = 1


def tables(work: Path) -> str:
    """All tables of what has been run."""
    study = Study(work)
    images = study.averaged_maps(work / 'maps_gap')
    parts = [neck_table(study, images, task) for task in ('cancer', 'dense', 'invasive')]
    parts += [pair_table(study, task) for task in ('cancer', 'dense')]
    parts += [attention_table(study)]
    parts += [area_table(study, task) for task in ('cancer', 'dense')]
    parts += [fusion_table(study, images), shortcut_table(study, images), *robustness(study, images)]
    if arms := finished_arms(study):
        parts += [pretraining_tables(study, arms, task) for task in ('cancer', 'dense')]
    if (work / 'finetuning').is_dir():
        parts += [finetuning_table(study, task) for task in ('cancer', 'dense')]
    return '\n\n'.join(parts)


def runs(study: Study) -> dict[str, list[Path]]:
    """Work dirs by neck, several seeds of each; those that are not finished are left out."""
    folders = sorted(path.parents[1] for path in study.necks.glob('*_seed*/report/report.json'))
    return {
        neck: list(group) for neck, group in itertools.groupby(folders, lambda p: p.name.split('_seed')[0])
    }


def mean_score(study: Study, folders: Iterable[Path], task: str, part: str = 'test') -> pd.Series:
    """Of the seeds."""
    scores = [study.predictions(folder, task, part) for folder in folders]
    return pd.concat([table.score for table in scores if len(table)], axis=1).mean(axis=1)


def neck_table(study: Study, images: pd.DataFrame, task: str) -> str:
    """Claim 2: necks on one frozen map, and the linear model on its mean."""
    folders = runs(study)
    scores = {neck: mean_score(study, paths, task) for neck, paths in folders.items()}
    scores['logistic regression on the averaged map'] = study.cross_fitted(images, task, linear(0.01))
    aucs = Aucs(study, scores, task)
    head = f'{task}: {aucs.n} breasts, {aucs.n_pos} positive\n\n| | seeds | AUC | against average pooling |'
    rows = [
        f'| {name} | {len(folders.get(name, [])) or ""} | {aucs.auc(name)} | '
        f'{aucs.difference(name, REFERENCE) if name != REFERENCE and REFERENCE in scores else ""} |'
        for name in scores
    ]
    return '\n'.join([head, '|---|---|---|---|', *rows])


def pair_table(study: Study, task: str) -> str:
    """Necks against each other, each pair over the seeds that both have."""
    folders, rows = runs(study), []
    for pair in PAIRS:
        by_seed = [{path.name.split('_seed')[1]: path for path in folders.get(neck, [])} for neck in pair]
        seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
        if seeds:
            paths = [[of_neck[seed] for seed in seeds] for of_neck in by_seed]
            scores = {neck: mean_score(study, of, task) for neck, of in zip(pair, paths, strict=True)}
            rows.append(
                f'| {pair[0]} - {pair[1]} | {len(seeds)} | {Aucs(study, scores, task).difference(*pair)} |'
            )
    return '\n'.join([f'| {task} | seeds | difference |', '|---|---|---|', *rows])


def robustness(study: Study, images: pd.DataFrame) -> Iterable[str]:
    """Primary outcomes on folds of another seed; claim 3 on sites that no model has seen."""
    other = Study(study.work, OTHER_SEED)
    if other.parts:
        yield f'folds of seed {OTHER_SEED}, {neck_table(other, images, "cancer")}'
        yield f'folds of seed {OTHER_SEED}, {fusion_table(other, images)}'
    sites = study.with_sites_left_out()
    yield _fusion_block(
        sites, f'{LINEAR}, each site by the other', *_linear_scores(sites, images), *_known(sites)
    )


def fusion_table(study: Study, images: pd.DataFrame) -> str:
    """Claim 3: images with age, against either, and against age with site and machine; (n_breasts, C)."""
    age, place = _known(study)
    blocks = [_fusion_block(study, LINEAR, *_linear_scores(study, images), age, place)]
    for neck, folders in runs(study).items():
        val = pd.concat([_by_fold(study.predictions(folder, 'cancer', 'val')) for folder in folders], axis=1)
        test = _logit(mean_score(study, folders, 'cancer')).to_frame('image')
        blocks.append(_fusion_block(study, neck, test, _logit(val.mean(axis=1)), age, place))
    return '\n\n'.join(blocks)


def _known(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Age; site and machine, one column per value."""
    age = study.breasts[['known_age']].fillna(study.breasts.known_age.median())
    place = pd.get_dummies(study.breasts[['known_site', 'known_machine']].astype(str), dtype=float)
    return age, place


def _linear_scores(study: Study, images: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Logits of the test and of the validation part by the model of a fold's training part alone."""
    test = study.cross_fitted(images, 'cancer', linear(0.01), ['train'])
    val = pd.concat(
        {
            fold: study.cross_fitted(images, 'cancer', linear(0.01), ['train'], score='val', folds=[fold])
            for fold in study.folds
        },
        names=['fold'],
    ).swaplevel()
    return _logit(test).to_frame('image'), _logit(val)


def _by_fold(predictions: pd.DataFrame) -> pd.Series:
    """Scores by breast and fold: a woman is in the validation part of several."""
    return predictions.set_index('fold', append=True).score


def _logit(scores: pd.Series) -> pd.Series:
    return pd.Series(clipped_logit(scores.to_numpy()), scores.index)


def _fusion_block(
    study: Study, neck: str, test: pd.DataFrame, val: pd.Series, age: pd.DataFrame, place: pd.DataFrame
) -> str:
    """One neck's table: all, and by site."""
    fused = {}
    for name, more in {
        'images, age': age,
        'images, age, site, machine': age.join(place),
    }.items():
        scores = []
        for fold in val.index.unique('fold'):
            of_fold = val[val.index.get_level_values('fold') == fold].droplevel('fold').to_frame('image')
            inside = of_fold.join(more, how='inner')
            tested = test.loc[test.index.intersection(study.parts[fold, 'test'])].join(more)
            fitted = linear(1.0)().fit(inside, study.breasts.cancer[inside.index])
            scores.append(pd.Series(fitted.predict_proba(tested)[:, 1], tested.index))
        fused[name] = pd.concat(scores)
    scores = {
        'images': test['image'],
        'age': study.cross_fitted(age, 'cancer', linear(1.0)),
        'age, site, machine': study.cross_fitted(age.join(place), 'cancer', linear(1.0)),
        **fused,
    }
    rows = [f'fusion with {neck}\n\n| | all | site 1 | site 2 |', '|---|---|---|---|']
    sites = study.breasts.known_site.astype(float)
    groups = [None, sites == 1, sites == 2]
    aucs = [Aucs(study, scores, 'cancer', among) for among in groups]
    rows += [f'| {name} | ' + ' | '.join(of.auc(name) for of in aucs) + ' |' for name in scores]
    pairs = [('images, age', 'age'), ('images, age', 'images'), ('images', 'age, site, machine')]
    pairs += [('images, age, site, machine', 'age, site, machine')]
    rows += [f'| {a} - {b} | ' + ' | '.join(of.difference(a, b) for of in aucs) + ' |' for a, b in pairs]
    return '\n'.join(rows)


def shortcut_table(study: Study, images: pd.DataFrame) -> str:
    """What needs no look at the breast: size of crop and file, border; and permuted labels."""
    facts = []
    for name in study.images.img_path:
        path = study.work / 'study' / name
        pixels = read_grey(path)[0]
        height, width = pixels.shape
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        facts.append([height, width, height / width, path.stat().st_size, (border == 0).mean()])
    scores = {
        'size, aspect, file size, border': study.cross_fitted(
            study.by_breast(np.array(facts)), 'cancer', linear(1.0)
        ),
        'averaged map, permuted labels': study.cross_fitted(images, 'cancer', linear(0.01), permuted=0),
    }
    aucs = Aucs(study, scores, 'cancer')
    rows = [f'| {name} | {aucs.auc(name)} |' for name in scores]
    return '\n'.join(['| without the breast | cancer AUC |', '|---|---|', *rows])
