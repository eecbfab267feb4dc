"""Inputs that were not known."""

import numpy as np
import pandas as pd
import pytest

from mammo.evaluation.entry.missingness import missingness, telling


def patients(missing, label):
    return pd.DataFrame(dict(missing_inputs=missing, label=np.array(label, float)))


def test_every_input_is_counted_by_itself_and_the_most_often_missing_comes_first():
    rows = missingness(patients(['Ki-67; ER', 'Ki-67', '', None], [1, 0, 1, 0]))
    assert [(row['input'], row['n_imputed'], row['n_patients']) for row in rows] == [
        ('Ki-67', 2, 4),
        ('ER', 1, 4),
    ]


def test_absence_that_goes_with_the_label_is_named():
    missing = ['Ki-67'] * 20 + [''] * 20 + ['ER', ''] * 20
    rows = missingness(patients(missing, [1] * 20 + [0] * 20 + [1, 1, 0, 0] * 10))
    assert telling(rows) == ['Ki-67']
    (row,) = (row for row in rows if row['input'] == 'Ki-67')
    assert (row['event_rate_imputed'], row['event_rate_known']) == (1, pytest.approx(20 / 60))


def test_predictions_that_do_not_tell_have_no_rows():
    assert missingness(pd.DataFrame(dict(label=[0.0, 1.0]))) == []


def test_an_input_missing_for_everybody_cannot_be_tested():
    (row,) = missingness(patients(['ER'] * 4, [0, 1, 0, 1]))
    assert (row['n_imputed'], row['p']) == (4, None)


def test_unrelated_absence_is_rarely_named():
    rng = np.random.default_rng(0)
    names = [
        bool(telling(missingness(patients(rng.choice(['ER', ''], 100), rng.integers(0, 2, 100)))))
        for _ in range(200)
    ]
    assert np.mean(names) < 0.07
