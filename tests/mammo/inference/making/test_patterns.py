"""Calibration by pattern: on whom it is fitted, and that it is true of others."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from mammo.evaluation.clinical_use.calibration import recalibrate, slope
from mammo.fusion.partial import KNOWN
from mammo.inference.making import patterns
from mammo.inference.making.patterns import MAX_VARIABLES, Line, pattern_lines

N_VARIABLES = 2


class Group(list):
    """Members of an outer fold, who say of its patients: logits (n, members), of whom some lack variables."""

    def __init__(self, logits: NDArray, labels: NDArray, missing: NDArray, n_variables: int = N_VARIABLES):
        member = SimpleNamespace(unknowns=SimpleNamespace(n_variables=n_variables))
        super().__init__([member] * logits.shape[1])
        self.logits, self.labels, self.missing = logits, labels, missing

    def frame(self, mask: NDArray) -> pd.DataFrame:
        known = ~(self.missing | mask)
        shift = 2.0 * known[:, [0]]  # the first variable moves all patients, and tells nothing
        return pd.DataFrame(dict(
            patient_id=[f'p{id(self)}-{i}' for i in range(len(self.labels))], label=self.labels,
            n_known=known.sum(axis=1), pattern=known @ [1, 2], prob=expit(self.logits + shift).mean(axis=1),
        ))  # fmt: skip


@pytest.fixture(autouse=True)
def _scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, 'without', lambda group, mask, **_: group.frame(mask))


def patients(rng: np.random.Generator, n: int, noise: float, n_members: int = 3, level: float = 0) -> Group:
    truth = rng.normal(-0.5, 1, n)
    labels = (rng.random(n) < expit(truth)).astype(float)
    logits = level + truth[:, None] + noise * rng.normal(size=(n, n_members))
    return Group(logits, labels, rng.random((n, N_VARIABLES)) < 0.2)


def lines_of(groups: list[Group]) -> list[tuple[pd.DataFrame, Line]]:
    found = [(rows, line) for rows, line in pattern_lines(groups, KNOWN) if line]
    assert len(found) == 2**N_VARIABLES
    return found


def test_patients_of_a_pattern_are_those_of_whom_at_least_its_variables_are_known() -> None:
    group = patients(np.random.default_rng(0), 200, 0.5)
    counts = [len(rows) for rows, _ in lines_of([group])]
    missing = group.missing
    assert counts == [200, (~missing[:, 0]).sum(), (~missing[:, 1]).sum(), (~missing.any(axis=1)).sum()]


def test_mean_calibrated_prob_is_the_event_rate_in_every_pattern() -> None:
    rng = np.random.default_rng(1)
    for rows, line in lines_of([patients(rng, 300, 0.5), patients(rng, 300, 0.5, level=1)]):
        assert recalibrate(line, rows.prob.to_numpy()).mean() == pytest.approx(rows.label.mean(), abs=0.02)


def test_slope_is_that_within_outer_folds_whose_models_differ_in_level() -> None:
    rng = np.random.default_rng(2)
    groups = [patients(rng, 400, 0.5, 1, level) for level in (-2, 2)]
    for rows, line in lines_of(groups):
        design = np.column_stack([logit(rows.prob), rows.fold == 0, rows.fold == 1])
        fitted = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-8, max_iter=1000)
        single = fitted.fit(design, rows.label).coef_[0, 0]
        assert line['slope'] == pytest.approx(single, rel=1e-4)


def test_line_is_true_of_new_patients_whatever_is_known() -> None:
    rng = np.random.default_rng(3)
    groups = [patients(rng, 4000, 1.0) for _ in range(2)]
    new = patients(rng, 40000, 1.0)
    for pattern, (_, line) in enumerate(lines_of(groups)):
        frame = new.frame(np.array([not pattern & 1, not pattern & 2]))
        part = frame[frame.pattern == pattern]
        calibrated = recalibrate(line, part.prob.to_numpy())
        assert slope(calibrated, part.label.to_numpy())['value'] == pytest.approx(1, abs=0.08)
        assert calibrated.mean() == pytest.approx(part.label.mean(), abs=0.02)


def test_inputs_that_tell_nothing_give_all_patients_the_event_rate() -> None:
    rng = np.random.default_rng(4)
    group = patients(rng, 300, 0.5)
    group.logits = -group.logits
    for rows, line in lines_of([group]):
        assert line['slope'] == 0
        assert expit(line['intercept']) == pytest.approx(rows.label.mean())


def test_patterns_with_too_few_patients_have_no_line() -> None:
    group = patients(np.random.default_rng(5), 300, 0.5)
    group.missing[:, 1] = True
    assert [line is not None for _, line in pattern_lines([group], KNOWN)] == [True, True, False, False]
    group.labels[:] = 1
    assert not any(line for _, line in pattern_lines([group], KNOWN))


def test_more_variables_than_a_table_can_hold_have_no_patterns() -> None:
    many: Any = patients(np.random.default_rng(6), 20, 0.5)
    many[0].unknowns.n_variables = MAX_VARIABLES + 1
    assert not list(pattern_lines([many], KNOWN))
