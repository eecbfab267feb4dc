"""Cross-validated AUC: by hand, by simulation, and repeats."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from mammo.evaluation.entry.within_folds import _standard_error, within_fold_auc


def rows(n=200, n_folds=5, seed=0, shift=0.0, repeats=1):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(float)
    parts = []
    for repeat in range(repeats):
        folds = rng.permutation(np.arange(n) % n_folds)
        scores = rng.normal(labels) + shift * folds
        names = [f'r{repeat}f{fold}' for fold in folds]
        parts.append(pd.DataFrame(dict(score=scores, label=labels, fold=names), np.arange(n).astype(str)))
    return pd.concat(parts)


def influence_by_definition(table):
    """LeDell et al. 2015, section 3.2, pair by pair, as R cvAUC 1.1.4 (ci.cvAUC) has it: mean over folds."""
    rate, variances = table.label.mean(), []
    for _, part in table.groupby('fold'):
        pos, neg = part.score[part.label == 1].to_numpy(), part.score[part.label == 0].to_numpy()
        auc = np.mean(pos[:, None] > neg)
        of_pos = [(np.mean(neg < p) - auc) / rate for p in pos]
        of_neg = [(np.mean(pos > q) - auc) / (1 - rate) for q in neg]
        variances.append(np.mean(np.square(of_pos + of_neg)))
    return np.sqrt(np.mean(variances) / len(table))


def test_value_is_the_mean_of_the_folds():
    table = rows()
    result = within_fold_auc(table)
    aucs = [roc_auc_score(part.label, part.score) for _, part in table.groupby('fold')]
    assert result['value'] == pytest.approx(np.mean(aucs))
    assert result['ci_low'] < result['value'] < result['ci_high']


def test_standard_error_without_correction_is_that_of_cvauc():
    table = rows()
    parts = [part for _, part in table.groupby('fold')]
    error = _standard_error(parts, pd.Series({1.0: 1.0, 0.0: 1.0}))
    assert error == pytest.approx(influence_by_definition(table))


def test_interval_has_the_degrees_of_freedom_that_the_folds_leave():
    table = rows()
    result, n_events = within_fold_auc(table), int(table.label.sum())
    parts = [part for _, part in table.groupby('fold')]
    factors = {1.0: np.sqrt(n_events / (n_events - 5)), 0.0: np.sqrt((200 - n_events) / (195 - n_events))}
    half = t.ppf(0.975, n_events - 5) * _standard_error(parts, pd.Series(factors))
    assert result['ci_high'] - result['value'] == pytest.approx(half)


def test_as_few_events_as_folds_have_no_interval():
    table = rows()
    events = table[table.label == 1].groupby('fold').head(1)
    result = within_fold_auc(pd.concat([events, table[table.label == 0]]))
    assert result['ci_low'] is None
    assert 'no more events' in result['reason']


def test_scales_of_the_folds_do_not_matter():
    assert within_fold_auc(rows(shift=9.0)) == pytest.approx(within_fold_auc(rows()))
    pooled = rows(shift=9.0)
    assert roc_auc_score(pooled.label, pooled.score) < 0.65 < within_fold_auc(pooled)['value']


def test_the_same_repeat_twice_tells_nothing_new():
    once = rows()
    twice = pd.concat([once, once.assign(fold='again ' + once.fold)])
    for key in ('value', 'ci_low', 'ci_high'):
        assert within_fold_auc(twice)[key] == pytest.approx(within_fold_auc(once)[key])


def test_folds_without_both_classes_are_left_out_and_counted():
    table = rows()
    table = table[(table.fold != 'r0f0') | (table.label == 0)]
    result = within_fold_auc(table)
    assert (result['n_folds'], result['n_folds_without_both_classes']) == (4, 1)


def test_one_fold_with_both_classes_is_no_cross_validation():
    assert 'fewer than two outer folds' in within_fold_auc(rows(n_folds=1))['reason']


def test_perfect_folds_have_no_interval():
    table = rows().assign(score=lambda t: t.label)
    assert (within_fold_auc(table)['value'], within_fold_auc(table)['ci_low']) == (1, None)


def test_interval_covers_given_the_models():
    truth = norm.cdf(1 / np.sqrt(2))
    results = [within_fold_auc(rows(n=150, seed=seed, shift=1.0)) for seed in range(300)]
    assert np.mean([r['ci_low'] <= truth <= r['ci_high'] for r in results]) > 0.92
