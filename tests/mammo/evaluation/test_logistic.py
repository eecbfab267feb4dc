"""Logistic regression: a maximum wherever there is one, a reason only where there is none."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from mammo.evaluation.estimates import UndefinedError
from mammo.evaluation.logistic import fit_logistic, separates


def rare(seed):
    """Few events, and scores that spread far: where Newton's steps from 0 overshoot."""
    rng = np.random.default_rng(seed)
    n, rate = rng.choice([60, 150, 500]), rng.choice([0.03, 0.05, 0.1])
    labels = (rng.random(n) < rate).astype(float)
    x = rng.normal(labels * rng.choice([0.5, 1.5, 3]), rng.choice([0.5, 1, 3]), n) - 3
    bend = np.maximum(x - np.median(x), 0) ** 3
    return np.stack([np.ones(n), x, bend], axis=1), labels


def ranks_apart(x, labels):
    """Separation by one column, from its definition."""
    pos, neg = x[labels == 1], x[labels == 0]
    return pos.min() >= neg.max() or pos.max() <= neg.min()


@pytest.mark.parametrize('block', range(4))
def test_only_separated_data_are_refused(block):
    for seed in range(100 * block, 100 * (block + 1)):
        design, labels = rare(seed)
        if not labels.any():
            continue
        if separates(design, labels):
            with pytest.raises(UndefinedError, match='separate the classes'):
                fit_logistic(design, labels)
            continue
        fit = fit_logistic(design, labels)
        gradient = design.T @ (labels - expit(design @ fit.coef))
        assert np.abs(gradient / np.abs(design).max(axis=0)).max() < 1e-6, seed


@pytest.mark.parametrize('seed', range(200))
def test_separation_of_one_column_is_that_of_its_definition(seed):
    rng = np.random.default_rng(seed)
    x, labels = rng.integers(0, 5, 8).astype(float), rng.permutation(np.repeat([1.0, 0.0], [2, 6]))
    assert separates(np.stack([np.ones(8), x], axis=1), labels) == ranks_apart(x, labels)


def test_maximum_equals_that_of_a_general_optimiser_with_an_offset():
    design, labels = rare(3)
    offset = np.linspace(-1, 1, len(labels))

    def loss(coef):
        eta = design[:, :2] @ coef + offset
        return np.sum(np.logaddexp(0, eta) - labels * eta)

    best = minimize(loss, np.zeros(2), method='BFGS', tol=1e-10)
    fit = fit_logistic(design[:, :2], labels, offset)
    np.testing.assert_allclose(fit.coef, best.x, atol=1e-4)
    assert fit.deviance == pytest.approx(2 * best.fun)


def test_columns_that_depend_on_each_other_are_refused():
    ones = np.ones(6)
    with pytest.raises(UndefinedError, match='constant'):
        fit_logistic(np.stack([ones, 2 * ones], axis=1), np.array([0, 1, 0, 1, 0, 1.0]))
