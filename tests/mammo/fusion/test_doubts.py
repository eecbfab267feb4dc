"""Sentences about train patients: there where something is wrong, and only there."""

import numpy as np
import pytest

from mammo.fusion.doubts import doubts

LABELS = np.resize([0.0, 0, 1], 90)
NOISE = np.random.default_rng(0).normal(size=90)


def told(**columns: np.ndarray) -> str:
    return '; '.join(doubts(list(columns), np.column_stack(list(columns.values())), LABELS))


def test_nothing_is_said_of_columns_that_tell_a_little() -> None:
    assert told(age=NOISE, size=NOISE + LABELS, **{'age missing': np.zeros(90)}) == ''


@pytest.mark.parametrize('column', [LABELS, 1 - LABELS, LABELS * 30 + NOISE])
def test_a_column_that_holds_the_label_is_named(column: np.ndarray) -> None:
    assert told(age=NOISE, ER=column).startswith('ER: each alone tells the label')


def test_values_that_only_one_class_has_are_named() -> None:
    assert told(size=NOISE, **{'size missing': LABELS}).startswith('size missing: each alone')


def test_few_patients_of_a_class_are_separated_by_chance() -> None:
    labels = np.zeros(90)
    labels[:4] = 1
    assert list(doubts(['ER'], labels[:, None], labels)) == []
    labels[4] = 1
    assert len(list(doubts(['ER'], labels[:, None], labels))) == 1


def test_patients_of_unknown_label_do_not_count() -> None:
    labels, column = np.where(NOISE > 0, LABELS, np.nan), np.where(NOISE > 0, LABELS, 1 - LABELS)
    assert next(doubts(['ER'], column[:, None], labels)).startswith('ER: each alone')


def test_a_constant_column_is_named_but_no_flag_of_what_is_always_known() -> None:
    sentence = told(age=NOISE, grade=np.ones(90), **{'age missing': np.zeros(90)})
    assert sentence.startswith('grade: the same in all train patients')


def test_more_columns_than_events_are_counted() -> None:
    rng = np.random.default_rng(1)
    columns = {f'v{i}': rng.normal(size=90) for i in range(31)}
    assert told(**columns).startswith('31 clinical columns for 30 train patients of the rarer class')
    columns.pop('v0')
    assert told(**columns) == ''
