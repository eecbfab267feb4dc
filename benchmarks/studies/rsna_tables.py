"""Tables of the study on RSNA 2022: AUC by breast, intervals by woman, and what explains it beside the image.

work dir of benchmarks/studies/rsna.py -> tables in Markdown
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dataset.feature_cache import FeatureCache
from mammo.errors import UserError
from mammo.evaluation.calibration import clipped_logit
from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.resampling import draws, ordered, percentile_interval, weighted
from mammo.evaluation.statistics import delong
from mammo.records.meta import read_meta
from mammo.records.png import read_grey

N_BOOTSTRAP = 2000
PARTS = ('train', 'val', 'test')
REFERENCE = 'gap'


class Study:
    """Breasts of the study: labels, folds, and what is known of them beside the image.

    Attributes:
        breasts: one row per ``patient_id laterality``: woman, labels of the tasks, clinical variables.
        parts: by outer fold and part, the breasts of its inner fold 0.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        items = read_meta(work / 'study/meta.json')['data_list']
        images = pd.DataFrame(
            dict(
                breast=f'{item["patient_id"]} {item["laterality"]}',
                woman=item['patient_id'],
                img_path=item['img_path'],
                **item['gt_label'],
                **{f'known_{name}': value for name, value in item['clinic_vars'].items()},
            )
            for item in items
        )
        self.images = images
        self.breasts = images.drop(columns='img_path').groupby('breast').first()
        self.parts = {
            (path.parent.parent.name, path.stem): self._breasts_of(path)
            for path in sorted((work / 'folds').glob('*/0/*.json'))
        }
        self.folds = sorted({outer for outer, _ in self.parts})

    def _breasts_of(self, path: Path) -> list[str]:
        items = read_meta(path)['data_list']
        return sorted({f'{item["patient_id"]} {item["laterality"]}' for item in items})

    def by_breast(self, values: NDArray) -> pd.DataFrame:
        """Values (n_images, k) in the order of the meta file -> their means by breast."""
        return pd.DataFrame(values).groupby(self.images.breast).mean()

    def predictions(self, run: Path, task: str, part: str) -> pd.DataFrame:
        """Score, label and fold of each breast; the mean over its images."""
        tables = [
            read_patients(
                [run / fold / '0' / f'predictions_{part}.json'], task, 'mean', unit='breast'
            ).table.assign(fold=fold)
            for fold in self.folds
            if (run / fold / '0' / f'predictions_{part}.json').is_file()
        ]
        return pd.concat(tables) if tables else pd.DataFrame()

    def cross_fitted(
        self,
        x: pd.DataFrame,
        task: str,
        model: Callable[[], Pipeline],
        learn: Sequence[str] = ('train', 'val'),
        permuted: int | None = None,
        score: str = 'test',
        folds: Sequence[str] | None = None,
    ) -> pd.Series:
        """Probability of each breast by the model of the fold that left its woman out.

        Args:
            x: (n_breasts, k), by breast.
            learn: parts of the fold that the model is fitted on.
            permuted: seed with which the labels are permuted before; None: they are not.
            score: the part that is scored.
            folds: default: all.
        """
        labels = self.breasts[task].reindex(x.index).dropna()
        if permuted is not None:
            labels = pd.Series(np.random.default_rng(permuted).permutation(labels), labels.index)
        scores = []
        for fold in folds or self.folds:
            inside = labels.index.intersection(itertools.chain(*(self.parts[fold, part] for part in learn)))
            tested = x.index.intersection(self.parts[fold, score])
            fitted = model().fit(x.loc[inside], labels[inside])
            scores.append(pd.Series(fitted.predict_proba(x.loc[tested])[:, 1], tested))
        return pd.concat(scores)


def linear(c: float) -> Callable[[], Pipeline]:
    """L2-penalised logistic regression on standardised variables."""
    return lambda: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))


class Aucs:
    """AUCs of models on the same breasts: mean over the outer folds, intervals by resampling women."""

    def __init__(
        self, study: Study, scores: dict[str, pd.Series], task: str, among: pd.Series | None = None
    ) -> None:
        table = pd.DataFrame(scores).dropna()
        table = table.join(study.breasts[['woman', task]]).dropna(subset=task)
        if among is not None:
            table = table[among.reindex(table.index, fill_value=False)]
        self.names, self.table = list(scores), table
        fold = pd.Series({breast: f for f in study.folds for breast in study.parts[f, 'test']})
        self.n, self.n_pos = len(table), int(table[task].sum())
        rng, parts = np.random.default_rng(0), [part for _, part in table.groupby(fold)]
        judged = [
            self._fold(part, task, rng)
            for part in parts
            if part[task].eq(1).sum() > 1 < part[task].eq(0).sum()
        ]
        if not judged:
            raise UserError(f'{task}: no fold has two breasts of either class')
        values, variances, replicates = zip(*judged, strict=True)
        self.values = np.mean(values, axis=0)  # (m,)
        self.covariance = np.mean(variances, axis=0) / len(values)  # (m, m), breasts as independent
        self.replicates = np.nanmean(replicates, axis=0)  # (m, N_BOOTSTRAP)

    def _fold(
        self, part: pd.DataFrame, task: str, rng: np.random.Generator
    ) -> tuple[NDArray, NDArray, NDArray]:
        scores, labels = part[self.names].to_numpy().T, part[task].to_numpy()
        women, of_breast = np.unique(part.woman, return_inverse=True)
        weights = draws(len(women), N_BOOTSTRAP, rng)[:, of_breast]
        w_pos, w_neg = weights[:, labels == 1], weights[:, labels == 0]
        replicates = [weighted(ordered(s, labels), w_pos, w_neg, 0.9)[0] for s in scores]
        values, covariance = delong(scores, labels)
        return values, covariance, np.array(replicates)

    def auc(self, name: str) -> str:
        """``0.672 (0.641 to 0.703)``."""
        i = self.names.index(name)
        low, high = percentile_interval(self.replicates[i])
        return f'{self.values[i]:.3f} ({low:.3f} to {high:.3f})'

    def difference(self, a: str, b: str) -> str:
        """``+0.012 (-0.010 to +0.034; DeLong -0.009 to +0.033)``."""
        i, j = self.names.index(a), self.names.index(b)
        value = self.values[i] - self.values[j]
        low, high = percentile_interval(self.replicates[i] - self.replicates[j])
        cov = self.covariance
        half = 1.96 * np.sqrt(max(cov[i, i] + cov[j, j] - 2 * cov[i, j], 0))
        return f'{value:+.3f} ({low:+.3f} to {high:+.3f}; DeLong {value - half:+.3f} to {value + half:+.3f})'


def tables(work: Path) -> str:
    """All tables of what has been run."""
    study = Study(work)
    images = averaged_maps(study, work / 'maps_gap')
    parts = [neck_table(study, images, task) for task in ('cancer', 'dense', 'invasive')]
    parts += [fusion_table(study, images), shortcut_table(study, images)]
    parts += [
        pretraining_table(work, task) for task in ('cancer', 'dense') if (work / 'pretraining').is_dir()
    ]
    return '\n\n'.join(parts)


def averaged_maps(study: Study, folder: Path) -> pd.DataFrame:
    """Means of the plain maps of a cache, by breast; (n_breasts, C)."""
    cache = FeatureCache(folder)
    values = [cache.read('plain', name, 0).mean(axis=(1, 2)) for name in study.images.img_path]
    return study.by_breast(np.array(values))


def runs(study: Study) -> dict[str, list[Path]]:
    """Work dirs by neck, several seeds of each; those that are not finished are left out."""
    folders = sorted(path.parents[1] for path in (study.work / 'necks').glob('*_seed*/report/report.json'))
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
        f'{aucs.difference(name, REFERENCE) if name != REFERENCE else ""} |'
        for name in scores
    ]
    return '\n'.join([head, '|---|---|---|---|', *rows])


def pretraining_table(work: Path, task: str) -> str:
    """Claim 1: the frozen, averaged, linear protocol on each start; outer fold 0."""
    study = Study(work)
    study.folds = ['0']
    arms = {path.parent.name.removesuffix('_fold0'): path for path in (work / 'pretraining').glob('*/maps')}
    scores = {
        arm: study.cross_fitted(averaged_maps(study, folder), task, linear(0.01))
        for arm, folder in sorted(arms.items())
    }
    aucs = Aucs(study, scores, task)
    starts = {arm: arm.split('_')[-1] for arm in arms}
    rows = [
        f'| {arm} | {aucs.auc(arm)} | '
        f'{aucs.difference(arm, starts[arm]) if starts[arm] != arm and starts[arm] in arms else ""} |'
        for arm in scores
    ]
    head = f'{task}, fold 0: {aucs.n} breasts, {aucs.n_pos} positive\n\n| | AUC | against its start |'
    return '\n'.join([head, '|---|---|---|', *rows])


def fusion_table(study: Study, images: pd.DataFrame) -> str:
    """Claim 3: images with age, against either, and against age with site and machine; (n_breasts, C)."""
    known = study.breasts
    age = known[['known_age']].fillna(known.known_age.median())
    place = pd.get_dummies(known[['known_site', 'known_machine']].astype(str), dtype=float)
    blocks = [_fusion_block(study, 'the logistic regression', *_linear_scores(study, images), age, place)]
    for neck, folders in runs(study).items():
        val = pd.concat([_by_fold(study.predictions(folder, 'cancer', 'val')) for folder in folders], axis=1)
        test = _logit(mean_score(study, folders, 'cancer')).to_frame('image')
        blocks.append(_fusion_block(study, neck, test, _logit(val.mean(axis=1)), age, place))
    return '\n\n'.join(blocks)


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
