"""Sample sizes against pmsampsize and pmvalsampsize.

Numbers are those that the tests of these packages by their authors expect, for the calls written beside
them: 623, 662, 221 and 615, 660 in the Python edition of pmsampsize; 905 and 4252 in R and Python editions
of pmvalsampsize, whose simulated slope needs 4501 (R, 1,000 draws) or 4544 (Python, a million); 2958, 1538,
511 are the documented result of R pmvalsampsize 0.1.0. Where they simulate, ours is an integral. R was not
run here.
"""

import numpy as np
import pytest

from mammo.errors import UserError
from mammo.evaluation.clinical_use.sample_size import (
    binormal,
    development,
    net_benefit,
    normal,
    r2_of_auc,
    validation,
)


def sizes(result):
    return [row['n'] for row in result['criteria']]


def test_development_equals_pmsampsize():
    # pmsampsize(type = "b", csrsquared = 0.288, parameters = 24, prevalence = 0.174)
    result = development(24, 0.174, 0.288)
    assert sizes(result) == [623, 662, 221]
    assert (result['n'], result['n_events']) == (662, 116)


def test_development_from_an_auc_equals_pmsampsize_but_for_its_simulation():
    # pmsampsize(type = "b", cstatistic = 0.89, parameters = 24, prevalence = 0.174)
    assert sizes(development(24, 0.174, r2_of_auc(0.174, 0.89))) == pytest.approx([615, 660, 221], rel=0.02)


def test_validation_equals_pmvalsampsize():
    # pmvalsampsize(type = "b", prevalence = 0.018, cstatistic = 0.8, lpnormal = c(-5, 2.5), oeciwidth = 1)
    oe, slope, auc = sizes(validation(0.018, 0.8, normal(-5, 2.5), oe_width=1))
    assert oe == pytest.approx(905, abs=2)  # its standard error moves in steps of 0.0001
    assert slope == pytest.approx(4544, rel=0.02)
    assert auc == 4252


def test_validation_of_a_coherent_design_equals_pmvalsampsize():
    # pmvalsampsize(type = "b", prevalence = 0.20, cstatistic = 0.78, lpnormal = c(-1.75, 1.22))
    oe, slope, auc = sizes(validation(0.2, 0.78, normal(-1.75, 1.22)))
    assert oe == pytest.approx(1538, rel=0.005)
    assert slope == pytest.approx(2958, rel=0.01)
    assert auc == 511


def test_binormal_predictor_has_its_event_rate_and_auc():
    x, weights = binormal(0.2, 0.78)
    risk = 1 / (1 + np.exp(-x))
    assert np.sum(weights * risk) == pytest.approx(0.2, abs=1e-6)
    below = np.cumsum(weights * (1 - risk)) / 0.8
    assert np.sum(weights * risk / 0.2 * below) == pytest.approx(0.78, abs=1e-3)


def test_net_benefit_has_the_width_asked_for():
    n = net_benefit(0.3, 0.9, 0.4, 0.15, width=0.1)
    rng, values = np.random.default_rng(0), []
    for _ in range(3000):
        events = rng.binomial(n, 0.3)
        tp, fp = rng.binomial(events, 0.9), rng.binomial(n - events, 0.6)
        values.append((tp - fp * 0.15 / 0.85) / events)
    assert 2 * 1.96 * np.std(values) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: development(10, 1.2, 0.1), 'event_rate is 1.2'),
        (lambda: development(10, 0.1, 0.9), r'R2 0.9: expected between 0 and 0.478'),
        (lambda: validation(0.1, 0.4), 'ROC AUC 0.4'),
    ],
)
def test_impossible_designs_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
