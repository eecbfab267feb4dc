"""Nested cross-validation folds in which no patient is on two sides.

items of a meta file -> groups of images in train, val and test of each fold
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from mammo.errors import UserError, listed
from mammo.records.folds import PARTS, outer_name
from mammo.splits.strata import group_strata

logger = logging.getLogger(__name__)
MAX_SEED = 2**31  # with what is added to it below, within what numpy takes


class Fold(NamedTuple):
    """Groups of one model: it learns from train, is chosen by val, and scored on test."""

    outer: str
    inner: int
    parts: dict[str, frozenset[str]]


def make_folds(
    items: Sequence[dict],
    *,
    group: str = 'patient_id',
    stratify: Sequence[str] = (),
    unit: str = 'patient',
    outer: int = 5,
    inner: int = 5,
    repeats: int = 1,
    leave_one_cohort_out: bool = False,
    holdout_cohort: str | None = None,
    seed: int = 0,
) -> tuple[list[Fold], set[str]]:
    """Split groups of images into folds.

    Args:
        group: field that must stay on one side.
        stratify, unit: see :func:`mammo.splits.strata.group_strata`.
        outer: test parts, which make a partition.
        inner: models per test part.
        repeats: partitions; the outer folds of the second are named ``r1f0``, ``r1f1`` and so on.
        leave_one_cohort_out: the test parts are the cohorts, instead of ``outer`` ones by chance.
        holdout_cohort: cohort that is in no fold.

    Returns:
        Folds, and groups that are held out.

    Raises:
        UserError: the items cannot be split so.
    """
    if repeats < 1 or not 0 <= seed < MAX_SEED:
        raise UserError(f'--repeats is {repeats}, 1 or more; --seed is {seed}, 0 or more and below 2^31')
    strata = group_strata(items, group, stratify, unit)
    holdout = held_out(items, group, holdout_cohort) if holdout_cohort else set()
    strata = strata[~strata.index.isin(holdout)]
    if leave_one_cohort_out:
        if repeats > 1:
            raise UserError('--leave-one-cohort-out has one partition; leave out --repeats, or take --outer')
        tests = cohort_tests([item for item in items if str(item[group]) not in holdout], group)
        _check_size(strata, len(tests), inner)
    else:
        _check_size(strata, outer, inner)
        tests = random_tests(strata, outer, repeats, seed)
    return list(nested_folds(strata, tests, inner, seed)), holdout


def random_tests(strata: pd.Series, n_outer: int, repeats: int, seed: int) -> dict[str, pd.Index]:
    """Groups of each test part, by the name of its outer fold."""
    rng = np.random.RandomState(seed)  # scikit-learn takes no Generator
    parts = [strata.index[test] for _ in range(repeats) for _, test in _split(strata, n_outer, rng)]
    names = [outer_name(f, r if repeats > 1 else None) for r in range(repeats) for f in range(n_outer)]
    return dict(zip(names, parts, strict=True))


def cohort_tests(items: Sequence[dict], group: str) -> dict[str, pd.Index]:
    """Groups of each cohort, by the number of its outer fold, in the order of their names.

    Raises:
        UserError: there are fewer than two cohorts, or a group is in none or in several.
    """
    table = pd.DataFrame(
        [(str(item[group]), item.get('cohort')) for item in items], columns=['group', 'cohort']
    )
    n_cohorts = table.groupby('group').cohort.nunique()
    unclear = sorted({*table.group[table.cohort.isna()], *n_cohorts.index[n_cohorts > 1]})
    if unclear or table.cohort.nunique() < 2:
        problem = (
            f'{len(unclear)} patients have none or several: {listed(unclear)}'
            if unclear
            else 'is one cohort only'
        )
        raise UserError(
            f'--leave-one-cohort-out: every image needs a cohort, one per patient; here {problem}'
        )
    cohorts = table.astype({'cohort': str}).groupby('cohort').group.unique()
    return {str(i): pd.Index(sorted(groups)) for i, groups in enumerate(cohorts.sort_index())}


def nested_folds(strata: pd.Series, tests: Mapping[str, pd.Index], n_inner: int, seed: int) -> Iterator[Fold]:
    """Split what is not in a test part ``n_inner`` times into what to learn and what to choose from.

    Raises:
        UserError: there are too few patients.
    """
    rare = {stratum: n for stratum, n in strata.value_counts().items() if n < len(tests) * n_inner}
    if rare:
        logger.warning('some parts will lack a stratum: patients per stratum %s', rare)
    for place, (outer, test) in enumerate(tests.items()):
        rest = strata[~strata.index.isin(test)]
        if len(rest) < n_inner:
            raise UserError(
                f'{len(rest)} patients outside test part {outer}, for {n_inner} inner folds; take fewer'
            )
        for inner, (train, val) in enumerate(_split(rest, n_inner, seed + 1 + place)):
            ids = rest.index[train], rest.index[val], test
            yield Fold(outer, inner, {part: frozenset(i) for part, i in zip(PARTS, ids, strict=True)})


def held_out(items: Sequence[dict], group: str, cohort: str) -> set[str]:
    """Groups with any image of the cohort; the whole group is held out.

    Raises:
        UserError: no image is of this cohort.
    """
    groups = {str(item.get(group)) for item in items if item.get('cohort') == cohort}
    if not groups:
        cohorts = sorted({str(item.get('cohort')) for item in items})
        raise UserError(f'no image has cohort {cohort!r}; there are {cohorts}')
    return groups


def _check_size(strata: pd.Series, n_outer: int, n_inner: int) -> None:
    if min(n_outer, n_inner) < 2 or len(strata) < 2 * max(n_outer, n_inner):
        raise UserError(
            f'{len(strata)} patients for {n_outer} x {n_inner} folds; take at least 2 folds each and '
            f'{2 * max(n_outer, n_inner)} patients'
        )


def _split(
    strata: pd.Series, n_splits: int, seed: int | np.random.RandomState
) -> list[tuple[np.ndarray, np.ndarray]]:
    if strata.value_counts().max() < n_splits:  # scikit-learn refuses if no stratum reaches all folds
        strata = pd.Series('all', index=strata.index)
    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings(action='ignore'):  # rare strata are logged once, by nested_folds
        return list(splitter.split(np.zeros(len(strata)), strata))
