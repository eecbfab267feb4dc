"""Recalibration of a model at another site, no more than the patients there ask for.

probs (n,), labels (n,) -> none, another intercept, or intercept and slope; and the tests that chose it
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from mammo.evaluation.clinical_use.calibration import clipped_logit
from mammo.evaluation.estimates import UndefinedError, require_classes, require_probs
from mammo.evaluation.logistic import fit_logistic

LEVEL = 0.05  # of both tests together, as they are closed
NONE, INTERCEPT, BOTH = 'none', 'intercept', 'intercept and slope'


def closed_tests(probs: NDArray, labels: NDArray) -> dict[str, Any]:
    """Choose a recalibration by likelihood-ratio tests, each against intercept and slope.

    Vergouwe et al. 2017, Stat. Med. 36:4529: as probs are is tested first (2 degrees of freedom), then with
    another intercept (1); the first that is not rejected is taken.

    Returns:
        method, recalibration (as of ``calibration.fit_platt``; None: probs stay), tests of hypothesis,
        chi2, df and p.

    Raises:
        UndefinedError: one class only, no finite fit, or scores that rank these patients the wrong way.
    """
    require_probs(probs)
    require_classes(labels)
    x, ones = clipped_logit(probs), np.ones((len(probs), 1))
    as_is = 2 * float(np.sum(np.logaddexp(0, x) - labels * x))
    shifted = fit_logistic(ones, labels, x)
    both = fit_logistic(np.column_stack([ones, x]), labels)
    if both.coef[1] <= 0:
        raise UndefinedError(f'the slope is {both.coef[1]:.2f}: higher scores do not mean a higher risk here')
    tests = [_test(NONE, as_is, both.deviance, 2), _test(INTERCEPT, shifted.deviance, both.deviance, 1)]
    fits = {NONE: None, INTERCEPT: (shifted.coef[0], 1.0), BOTH: (both.coef[0], both.coef[1])}
    method = next((test['hypothesis'] for test in tests if test['p'] >= LEVEL), BOTH)
    return dict(method=method, recalibration=_platt(fits[method]), tests=tests)


def _test(hypothesis: str, deviance: float, of_both: float, df: int) -> dict[str, Any]:
    statistic = max(deviance - of_both, 0.0)
    return dict(hypothesis=hypothesis, chi2=statistic, df=df, p=float(chi2.sf(statistic, df)))


def _platt(fit: tuple[float, float] | None) -> dict[str, Any] | None:
    return None if fit is None else dict(kind='platt', intercept=float(fit[0]), slope=float(fit[1]))
