"""Nested cross-validation folds in which no patient is on two sides.

meta items -> one Fold per outer and inner index, and a report that counts shared patients
"""

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from mammo.errors import UserError
from mammo.records.files import write_json
from mammo.records.meta import read_meta, write_meta

logger = logging.getLogger(__name__)
PARTS = ('train', 'val', 'test')
MAX_STRATA = 5  # a label with more values than this is cut at its quartiles


class Fold(NamedTuple):
    """Patients of one model: it learns from train, is chosen by val, and scored on test."""

    outer: int
    inner: int
    parts: dict[str, frozenset[str]]


def write_folds(
    *,
    meta: Path,
    out_dir: Path,
    outer: int,
    inner: int,
    group: str,
    stratify: str | None,
    holdout_cohort: str | None,
    labelled_only: bool,
    seed: int,
) -> str:
    """Read a meta file, split its patients, write the folds and their report -> one sentence about them.

    Raises:
        UserError: the folder holds something, or the meta file cannot be split so.
    """
    settings = dict(outer=outer, inner=inner, group=group, stratify=stratify, holdout_cohort=holdout_cohort)
    settings |= dict(labelled_only=labelled_only, seed=seed)
    if out_dir.is_dir() and any(out_dir.iterdir()):
        raise UserError(f'--out-dir {out_dir} is not empty; folds of two splits must not mix')
    content = read_meta(meta)
    items, tasks = content['data_list'], content['metainfo']['tasks']
    holdout = held_out(items, group, holdout_cohort) if holdout_cohort else set()
    strata = patient_strata(items, group, stratify)
    strata = strata[~strata.index.isin(holdout)]
    folds = list(nested_folds(strata, outer, inner, seed))
    images = Images(items, group, labelled_only=labelled_only)
    for fold in folds:
        for part, patients in fold.parts.items():
            path = out_dir / str(fold.outer) / str(fold.inner) / f'{part}.json'
            write_meta(path, images.of(part, patients), tasks)
    if holdout:
        write_meta(out_dir / 'holdout.json', images.of('holdout', holdout), tasks)
    summary = report(images, folds, holdout)
    write_json(out_dir / 'split_report.json', dict(format_version=1, settings=settings, **summary))
    return (
        f'{len(folds)} folds of {len(strata)} patients, {len(holdout)} held out; '
        f'shared between any two parts: {summary["shared_patients_max"]}'
    )


def patient_strata(items: Sequence[dict], group: str, stratify: str | None) -> pd.Series:
    """One row per patient, sorted by id: the highest known label as stratum, 'unknown' without one.

    Raises:
        UserError: an item has no ``group``, or no item has the label.
    """
    for i, item in enumerate(items):
        if not item.get(group):
            raise UserError(
                f'item {i} ({item.get("img_path")}): {group!r} is {item.get(group)!r}; every image '
                'needs one, or a patient may end on two sides'
            )
    rows = [(str(item[group]), (item.get('gt_label') or {}).get(stratify)) for item in items]
    table = pd.DataFrame(rows, columns=['group', 'label']).astype({'label': float})
    labels = table.groupby('group')['label'].max()
    if stratify is not None and labels.isna().all():
        raise UserError(f'no item has a label {stratify!r}; known are {sorted(_tasks(items))}')
    if labels.nunique() > MAX_STRATA:
        labels = pd.qcut(labels, 4, labels=False, duplicates='drop')
    return labels.map(str, na_action='ignore').fillna('unknown')


def nested_folds(strata: pd.Series, n_outer: int, n_inner: int, seed: int) -> Iterator[Fold]:
    """Split patients ``n_outer`` times into development and test, the former ``n_inner`` times again.

    Raises:
        UserError: there are too few patients.
    """
    if min(n_outer, n_inner) < 2 or len(strata) < 2 * max(n_outer, n_inner):
        raise UserError(
            f'{len(strata)} patients for {n_outer} x {n_inner} folds; take at least 2 folds each and '
            f'{2 * max(n_outer, n_inner)} patients'
        )
    rare = {stratum: n for stratum, n in strata.value_counts().items() if n < n_outer * n_inner}
    if rare:
        logger.warning('some parts will lack a stratum: patients per stratum %s', rare)
    for outer, (rest, test) in enumerate(_split(strata, n_outer, seed)):
        inner_strata = strata.iloc[rest]
        for inner, (train, val) in enumerate(_split(inner_strata, n_inner, seed + 1 + outer)):
            ids = inner_strata.index[train], inner_strata.index[val], strata.index[test]
            yield Fold(outer, inner, {part: frozenset(i) for part, i in zip(PARTS, ids, strict=True)})


def held_out(items: Sequence[dict], group: str, cohort: str) -> set[str]:
    """Patients with any image of the cohort; the whole patient is held out.

    Raises:
        UserError: no image is of this cohort.
    """
    patients = {str(item.get(group)) for item in items if item.get('cohort') == cohort}
    if not patients:
        found = sorted({str(item.get('cohort')) for item in items})
        raise UserError(f'no image has cohort {cohort!r}; found {found}')
    return patients


class Images:
    """Images by patient.

    Args:
        labelled_only: leave images without a label out of train and val; a test part keeps them.
    """

    def __init__(self, items: Sequence[dict], group: str, *, labelled_only: bool = False) -> None:
        self.labelled_only = labelled_only
        self.by_patient: dict[str, list[tuple[int, dict]]] = {}
        for place, item in enumerate(items):
            self.by_patient.setdefault(str(item[group]), []).append((place, item))

    def of(self, part: str, patients: frozenset[str] | set[str]) -> list[dict]:
        """Items of these patients, in the order of the meta file."""
        found = [pair for patient in patients for pair in self.by_patient[patient]]
        items = [item for _, item in sorted(found, key=lambda pair: pair[0])]
        leave_out = self.labelled_only and part in ('train', 'val')
        return [item for item in items if item.get('gt_label')] if leave_out else items


def report(images: Images, folds: Sequence[Fold], holdout: set[str]) -> dict[str, Any]:
    """Count shared patients, labels and cohorts of every part."""
    described: list[dict[str, Any]] = []
    for fold in folds:
        named = fold.parts | ({'holdout': frozenset(holdout)} if holdout else {})
        shared = {f'{a}-{b}': len(named[a] & named[b]) for a, b in combinations(named, 2)}
        parts = {name: _describe(ids, images.of(name, ids)) for name, ids in named.items()}
        described.append(dict(outer=fold.outer, inner=fold.inner, shared_patients=shared, parts=parts))
    tests = Counter(patient for fold in folds if fold.inner == 0 for patient in fold.parts['test'])
    return dict(
        shared_patients_max=max(max(fold['shared_patients'].values()) for fold in described),
        patients=len(images.by_patient),
        patients_tested_more_than_once=sum(n > 1 for n in tests.values()),
        patients_never_tested=len(set(images.by_patient) - set(tests) - holdout),
        folds=described,
    )


def _split(strata: pd.Series, n_splits: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    counts = strata.value_counts()
    if counts.max() < n_splits:  # scikit-learn refuses if no stratum reaches all folds
        strata = pd.Series('all', index=strata.index)
    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings(action='ignore'):  # rare strata are logged once, by nested_folds
        yield from list(splitter.split(np.zeros(len(strata)), strata))


def _describe(patients: frozenset[str], items: Sequence[dict]) -> dict[str, Any]:
    labels = {}
    for task in sorted(_tasks(items)):
        known = [item['gt_label'][task] for item in items if task in (item.get('gt_label') or {})]
        labels[task] = dict(images_known=len(known), mean=round(float(np.mean(known)), 6))
    cohorts = dict(sorted(Counter(str(item.get('cohort', 'unknown')) for item in items).items()))
    return dict(patients=len(patients), images=len(items), labels=labels, cohorts=cohorts)


def _tasks(items: Sequence[dict]) -> set[str]:
    return {task for item in items for task in item.get('gt_label') or {}}
