"""Which cell of a bundle's decisions belongs to an input, and what its numbers make of a mean."""

import numpy as np
import pytest
from scipy.special import expit, logit

from mammo.inference.bundle.decisions import FUSED, IMAGES, PATTERNS, Decisions

PLATT = dict(kind='platt', intercept=0.5, slope=2.0)
SITE = dict(recalibration=dict(kind='platt', intercept=-1.0, slope=1.0), threshold=0.33)
CELL = dict(recalibration=PLATT, threshold=0.2)
CONTENT = {
    IMAGES: dict(known=dict(threshold=0.1), unknown=dict(threshold=0.9)),
    FUSED: dict(known=[dict(threshold=0.0), dict(threshold=0.1)], unknown=[dict(threshold=1.0), None]),
    'target_sensitivity': 0.9,
    'confidence': 0.95,
    'chosen_on': 'cross-validation',
}


@pytest.fixture
def decisions() -> Decisions:
    return Decisions(CONTENT)


@pytest.mark.parametrize(
    ('model', 'side_known', 'known', 'threshold'),
    [
        (IMAGES, True, [], 0.1),
        (IMAGES, False, [True] * 7, 0.9),  # clinical variables are none of its inputs
        (FUSED, True, [False, False], 0.0),
        (FUSED, True, [False, True], 0.1),
        (FUSED, False, [False], 1.0),
    ],
)
def test_cell_is_that_of_side_and_number_of_known_values(
    decisions: Decisions, model: str, side_known: bool, known: list[bool], threshold: float
) -> None:
    cell = decisions.cell(model, side_known=side_known, known=known)
    assert cell is not None
    assert cell['threshold'] == threshold


def test_inputs_without_a_cell_have_none(decisions: Decisions) -> None:
    assert decisions.cell(FUSED, side_known=False, known=[True]) is None
    assert decisions.cell(FUSED, side_known=True, known=[True, True]) is None
    assert decisions.cell('clinical', side_known=True) is None
    assert Decisions({IMAGES: {}, FUSED: {}}).cell(IMAGES, side_known=True) is None
    assert Decisions({}).cell(FUSED, side_known=True) is None


def test_a_pattern_of_known_variables_has_a_cell_of_its_own_or_that_of_their_number() -> None:
    by_number = [dict(threshold=float(n)) for n in range(3)]
    by_pattern = [dict(threshold=0.5), dict(threshold=0.1), None, dict(threshold=0.7)]
    decisions = Decisions({FUSED: dict(known=by_number), PATTERNS: dict(known=by_pattern)})
    known = [[False, False], [True, False], [False, True], [True, True]]
    found = [decisions.cell(FUSED, side_known=True, known=which) for which in known]
    assert [cell and cell['threshold'] for cell in found] == [0.5, 0.1, 1.0, 0.7]


def test_prob_is_the_recalibrated_mean(decisions: Decisions) -> None:
    assert decisions.prob(CELL, 0.3) == pytest.approx(expit(0.5 + 2 * logit(0.3)))
    assert decisions.prob(None, 0.3) is None
    assert decisions.prob(dict(threshold=0.2), 0.3) is None


def test_a_hospital_recalibrates_what_the_bundle_says() -> None:
    site = Decisions(CONTENT | dict(site=SITE))
    assert site.prob(CELL, 0.3) == pytest.approx(expit(-0.5 + 2 * logit(0.3)))
    assert site.prob(None, 0.3) is None
    threshold_only = Decisions(dict(site=SITE | dict(recalibration=None)))
    assert threshold_only.prob(CELL, 0.3) == pytest.approx(expit(0.5 + 2 * logit(0.3)))


def test_what_is_stated_is_that_of_the_cell_and_what_holds_for_all(decisions: Decisions) -> None:
    about = dict(target_sensitivity=0.9, confidence=0.95)
    cell = dict(threshold=0.2, promise=0.9, recalibration=PLATT, log_loss=0.5, chosen_on='val')
    assert decisions.stated(cell) == dict(about, chosen_on='cross-validation', threshold=0.2, promise=0.9)
    assert decisions.stated(dict(threshold=0.0)) == dict(about, chosen_on='cross-validation', threshold=0.0)
    assert decisions.stated(dict(recalibration=PLATT)) is None
    assert decisions.stated(None) is None


def test_threshold_of_a_hospital_holds_for_calibrated_probs_only() -> None:
    site = Decisions(CONTENT | dict(site=SITE | dict(name='B', chosen_on='B')))
    found = site.stated(CELL)
    assert found is not None
    assert (found['threshold'], found['name'], found['chosen_on']) == (0.33, 'B', 'B')
    assert found['promise'] is None  # that of the bundle does not hold there
    of_mean = site.stated(dict(threshold=0.2))  # of the mean, which the site knows nothing of
    assert of_mean == dict(
        target_sensitivity=0.9, confidence=0.95, chosen_on='cross-validation', threshold=0.2
    )
    assert site.stated(None) is None
    assert Decisions(CONTENT).site is None


def test_probs_keep_their_order() -> None:
    probs = [Decisions({}).prob(CELL, mean) for mean in np.linspace(0.01, 0.99, 50)]
    assert np.all(np.diff(probs) > 0)
