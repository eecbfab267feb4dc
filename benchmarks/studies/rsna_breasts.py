"""Breasts of the study on RSNA 2022, scores that no model has seen, and AUCs with intervals by woman.

work dir of benchmarks/studies/rsna.py -> Study; scores by breast -> Aucs
"""

import itertools
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dataset.cache.maps import FeatureCache
from mammo.errors import UserError
from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.resampling import draws, ordered, percentile_interval, weighted
from mammo.evaluation.statistics import delong
from mammo.records.meta import read_meta

N_BOOTSTRAP = 2000


def of_seed(folder: Path, fold_seed: int) -> Path:
    """The folder's twin for a split of another seed: ``folds``, ``folds_seed1``."""
    return folder.with_name(f'{folder.name}_seed{fold_seed}') if fold_seed else folder


class Study:
    """Breasts of the study: labels, folds, and what is known of them beside the image.

    Args:
        work: folder of the study.
        fold_seed: seed of the split; see :func:`of_seed`.

    Attributes:
        breasts: one row per ``patient_id laterality``: woman, labels of the tasks, clinical variables.
        necks: folder of the runs of claim 2.
        parts: by outer fold and part, the breasts of its inner fold 0.
    """

    def __init__(self, work: Path, fold_seed: int = 0) -> None:
        self.work, self.necks = work, of_seed(work / 'necks', fold_seed)
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
            for path in sorted(of_seed(work / 'folds', fold_seed).glob('*/0/*.json'))
        }
        self.folds = sorted({outer for outer, _ in self.parts})

    def with_sites_left_out(self) -> 'Study':
        """The same breasts with a fold per site, whose models learn from the women of all other sites."""
        other = copy(self)
        site = self.breasts.known_site.astype(str)
        other.folds, other.parts = sorted(site.unique()), {}
        for name in other.folds:
            women = self.breasts.woman[site != name]
            in_val = women.isin(women.drop_duplicates().sample(frac=0.2, random_state=0))
            other.parts[name, 'train'] = list(women.index[~in_val])
            other.parts[name, 'val'] = list(women.index[in_val])
            other.parts[name, 'test'] = list(self.breasts.index[site == name])
        return other

    def _breasts_of(self, path: Path) -> list[str]:
        items = read_meta(path)['data_list']
        return sorted({f'{item["patient_id"]} {item["laterality"]}' for item in items})

    def by_breast(self, values: NDArray) -> pd.DataFrame:
        """Values (n_images, k) in the order of the meta file -> their means by breast."""
        return pd.DataFrame(values).groupby(self.images.breast).mean()

    def averaged_maps(self, cache_dir: Path) -> pd.DataFrame:
        """Means of the plain maps of a cache, by breast; (n_breasts, C)."""
        cache = FeatureCache(cache_dir)
        values = [cache.read('plain', name, 0).mean(axis=(1, 2)) for name in self.images.img_path]
        return self.by_breast(np.array(values))

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
        among: pd.Index | None = None,
    ) -> pd.Series:
        """Probability of each breast by the model of the fold that left its woman out.

        Args:
            x: (n_breasts, k), by breast.
            learn: parts of the fold that the model is fitted on.
            permuted: seed with which the labels are permuted before; None: they are not.
            score: the part that is scored.
            folds: default: all.
            among: breasts to learn from; default: all of the parts.
        """
        labels = self.breasts[task].reindex(x.index).dropna()
        if permuted is not None:
            labels = pd.Series(np.random.default_rng(permuted).permutation(labels), labels.index)
        scores = []
        for fold in folds or self.folds:
            inside = labels.index.intersection(itertools.chain(*(self.parts[fold, part] for part in learn)))
            if among is not None:
                inside = inside.intersection(among)
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

    def estimate(self, name: str) -> tuple[float, float, float]:
        """AUC, and the ends of its interval."""
        i = self.names.index(name)
        return float(self.values[i]), *percentile_interval(self.replicates[i])

    def auc(self, name: str) -> str:
        """``0.672 (0.641 to 0.703)``."""
        value, low, high = self.estimate(name)
        return f'{value:.3f} ({low:.3f} to {high:.3f})'

    def difference(self, a: str, b: str) -> str:
        """``+0.012 (-0.010 to +0.034; DeLong -0.009 to +0.033)``."""
        i, j = self.names.index(a), self.names.index(b)
        value = self.values[i] - self.values[j]
        low, high = percentile_interval(self.replicates[i] - self.replicates[j])
        cov = self.covariance
        half = 1.96 * np.sqrt(max(cov[i, i] + cov[j, j] - 2 * cov[i, j], 0))
        return f'{value:+.3f} ({low:+.3f} to {high:+.3f}; DeLong {value - half:+.3f} to {value + half:+.3f})'
