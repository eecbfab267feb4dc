"""Performance over centres: one estimate per cohort, and what to expect of the next.

patients with a cohort -> estimates by cohort, random-effects mean, prediction interval, tau2, I2
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from mammo.evaluation import statistics
from mammo.evaluation.clinical_use import calibration
from mammo.evaluation.cohort.pooling import arrays
from mammo.evaluation.estimates import Estimate, UndefinedError, Z, defined, estimate, undefined

COLUMN = 'cohort'
METHOD = 'random effects, REML; interval of Hartung, Knapp, Sidik and Jonkman'
MEASURES = dict(roc_auc='on the logit', intercept='', slope='')


def centres(table: pd.DataFrame, min_group: int) -> dict[str, Any] | None:
    """Estimates of each cohort and their summary; None where the predictions name fewer than two cohorts.

    Riley et al. 2016, BMJ 353:i3140; Debray et al. 2017, BMJ 356:i6460.
    """
    if COLUMN not in table or table[COLUMN].nunique() < 2:
        return None
    rows = [_one(str(name), part, min_group) for name, part in table.groupby(COLUMN)]
    return dict(cohorts=rows, summary={key: _summary(key, rows) for key in MEASURES})


def _one(name: str, part: pd.DataFrame, min_group: int) -> dict[str, Any]:
    scores, labels = arrays(part)
    row: dict[str, Any] = dict(cohort=name, n_patients=len(part), n_events=int(labels.sum()))
    if len(part) < min_group:
        return row | dict.fromkeys(MEASURES, undefined(f'fewer than {min_group} patients'))
    judged = dict(
        roc_auc=statistics.roc_auc(scores, labels),
        intercept=calibration.intercept(scores, labels),
        slope=calibration.slope(scores, labels),
    )
    return row | judged


@defined
def _summary(key: str, rows: list[dict[str, Any]]) -> Estimate:
    values, variances = [], []
    for row in rows:
        result = row[key]
        if result['ci_low'] is None or result['method'].startswith('exact'):
            continue  # without a variance
        value = result['value']
        error = max(result['ci_high'] - value, value - result['ci_low']) / Z
        if MEASURES[key] and not 0 < value < 1:
            continue
        error, value = (error / (value * (1 - value)), logit(value)) if MEASURES[key] else (error, value)
        values.append(value)
        variances.append(error**2)
    if len(values) < 2:
        raise UndefinedError('fewer than two cohorts with an interval')
    pooled = random_effects(np.array(values), np.array(variances))
    back = expit if MEASURES[key] else float
    if pooled['prediction_low'] is not None:
        pooled |= {end: float(back(pooled[end])) for end in ('prediction_low', 'prediction_high')}
    value, low, high = (float(back(pooled.pop(end))) for end in ('value', 'ci_low', 'ci_high'))
    return estimate(value, low, high, f'{METHOD} {MEASURES[key]}'.strip(), n_cohorts=len(values), **pooled)


def random_effects(values: NDArray, variances: NDArray) -> dict[str, Any]:
    """Mean of k studies with values (k,), variances (k,), as R metafor's ``rma(method='REML', test='knha')``.

    REML: Viechtbauer 2005, J. Educ. Behav. Stat. 30:261. Interval: Hartung & Knapp 2001, Stat. Med. 20:3875,
    not narrower than that of the plain weights. Prediction interval: Higgins, Thompson & Spiegelhalter 2009,
    J. R. Stat. Soc. A 172:137, from three studies on. I2: Higgins & Thompson 2002, Stat. Med. 21:1539.
    """
    k, tau2 = len(values), _tau2(values, variances)
    weights = 1 / (variances + tau2)
    value = float(np.average(values, weights=weights))
    scatter = float(np.sum(weights * (values - value) ** 2)) / (k - 1)
    error = float(np.sqrt(max(scatter, 1) / weights.sum()))
    half = stats.t.ppf(0.975, k - 1) * error
    fixed = 1 / variances
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - np.sum(fixed**2))
    prediction: list[float | None] = [None, None]
    if k > 2:
        reach = stats.t.ppf(0.975, k - 2) * float(np.sqrt(tau2 + error**2))
        prediction = [value - reach, value + reach]
    result = dict(value=value, ci_low=value - half, ci_high=value + half, tau2=tau2)
    result |= dict(i2=float(tau2 / (tau2 + typical)))
    return result | dict(prediction_low=prediction[0], prediction_high=prediction[1])


def _tau2(values: NDArray, variances: NDArray) -> float:
    """Variance between studies at the highest restricted likelihood."""

    def loss(tau2: float) -> float:
        weights = 1 / (variances + tau2)
        rest = values - np.average(values, weights=weights)
        return float(np.sum(weights * rest**2) - np.sum(np.log(weights)) + np.log(weights.sum()))

    top = 10 * float(np.var(values) + variances.max())
    best = minimize_scalar(loss, bounds=(0, top), method='bounded', options=dict(xatol=1e-10 * top))
    return float(best.x) if best.fun < loss(0.0) else 0.0
