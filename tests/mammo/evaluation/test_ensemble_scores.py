"""What few members say is brought to what all of them will say, and each subset of variables to its line."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from mammo.evaluation.calibration import slope
from mammo.evaluation.cells import cell
from mammo.evaluation.ensemble_scores import Lines, lines_of, whole_spread

FEW, ALL = 3, 15


def members(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (members, n) that agree on the risk and err each on its own; labels."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(-0.5, 1, n)
    return risk + rng.normal(0, 0.8, (ALL, n)), (rng.random(n) < expit(risk)).astype(float)


def rows_of(logits: np.ndarray, labels: np.ndarray, folds: np.ndarray | None = None) -> pd.DataFrame:
    return pd.DataFrame(dict(
        patient_id=np.arange(len(labels)), label=labels, subset=0, n_few=len(logits), n_known=1,
        fold=0 if folds is None else folds, prob=expit(logits.mean(axis=0)),
        disagreement=logits.var(axis=0, ddof=min(1, len(logits) - 1)),
    ))  # fmt: skip


def test_spread_of_all_members_is_told_from_a_few() -> None:
    logits, labels = members(20_000)
    few = rows_of(logits[:FEW], labels)
    assert whole_spread(few, ALL) == pytest.approx(
        logits.mean(axis=0).std() / logits[:FEW].mean(axis=0).std(), abs=0.01
    )
    assert whole_spread(few, FEW) == pytest.approx(1)


def test_calibration_of_a_few_members_holds_for_all_of_them() -> None:
    logits, labels = members(20_000)
    few = rows_of(logits[:FEW], labels)
    for spread, expected in ((whole_spread(few, ALL), 1.0), (1.0, 1.16)):
        fitted = cell(few, 0.9, None, spread)['recalibration']
        calibrated = expit(fitted['intercept'] + fitted['slope'] * logits.mean(axis=0))
        assert slope(calibrated, labels)['value'] == pytest.approx(expected, abs=0.05)
        assert calibrated.mean() == pytest.approx(labels.mean(), abs=0.005)


def test_offsets_between_folds_do_not_flatten_the_slope() -> None:
    rng = np.random.default_rng(0)
    risk = rng.normal(0, 1, 20_000)
    labels, folds = (rng.random(20_000) < expit(risk)).astype(float), rng.integers(0, 2, 20_000)
    rows = rows_of((risk + np.where(folds == 0, -1, 1))[None], labels, folds)
    assert cell(rows, 0.9, None)['recalibration']['slope'] == pytest.approx(1, abs=0.05)


def test_each_subset_gets_the_line_that_it_deserves() -> None:
    """Variable 0 is strong and understated, variable 1 is noise that the model believes in."""
    rng = np.random.default_rng(0)
    n = 5_000
    strong, noise = rng.normal(size=(2, n))
    label = (rng.random(n) < expit(1.5 * strong - 0.5)).astype(float)
    parts = []
    for bits in range(4):
        x = 0.75 * strong * (bits & 1) + 1.0 * noise * (bits >> 1) + 0.8 * (bits & 1) - 0.5
        frame = pd.DataFrame(
            dict(patient_id=np.arange(n), prob=expit(x), label=label, n_known=bits.bit_count())
        )
        parts.append(frame.assign(bits=bits))
    rows = pd.concat(parts)
    known = (rows.bits.to_numpy()[:, None] >> np.arange(2) & 1).astype(bool)
    lines = lines_of(rows, known)
    assert lines.base + lines.slopes[1] == pytest.approx(0, abs=0.1)
    assert lines.base + lines.slopes[0] > 1.2
    raw, read = rows.prob.to_numpy(), expit(lines(logit(rows.prob.to_numpy()), known))
    differ = [[abs(p[rows.bits == 1].mean() - p[rows.bits == 2].mean()) for p in (raw, read)]]
    assert differ[0][1] < 0.25 * differ[0][0]


def test_no_subset_turns_the_order_of_patients_round() -> None:
    lines = Lines(0.2, np.array([-0.5]), np.array([0.3]))
    assert lines(np.array([-1.0, 2.0]), np.array([[True], [True]])).tolist() == [0.3, 0.3]
