"""How many patients a prediction model needs, to be developed and to be validated.

event rate, ROC AUC, parameters, widths of intervals -> patients by criterion
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit, xlogy

from mammo.errors import UserError
from mammo.evaluation.statistics import roc_auc

Z95 = 1.96  # as pmsampsize and pmvalsampsize have it
GRID = np.linspace(-10, 10, 8001)  # standard deviations, for integrals over a normal distribution
Predictors = tuple[NDArray, NDArray]  # values of the linear predictor, and their weights, which add up to 1


def development(
    n_parameters: int, event_rate: float, r2: float, shrinkage: float = 0.9, optimism: float = 0.05
) -> dict[str, Any]:
    """Riley et al. 2019, Stat. Med. 38:1276, and 2020, BMJ 368:m441, criteria 2 to 4 of the BMJ paper.

    Args:
        r2: Cox-Snell R2 that is expected; :func:`r2_of_auc` makes it of an AUC.
        shrinkage: that the coefficients need at most.
        optimism: of Nagelkerke's R2 that is allowed.

    Raises:
        UserError: such a model cannot be.
    """
    _require_share(event_rate=event_rate, shrinkage=shrinkage)
    highest = 1 - math.exp(2 * (xlogy(event_rate, event_rate) + xlogy(1 - event_rate, 1 - event_rate)))
    if not 0 < r2 < min(highest, shrinkage):
        raise UserError(f'R2 {r2:g}: expected between 0 and {min(highest, shrinkage):.3f} at this event rate')
    of_optimism = r2 / (r2 + optimism * highest)
    criteria = {
        f'shrinkage of at least {shrinkage:g}': _of_shrinkage(n_parameters, r2, shrinkage),
        f'optimism of R2 of at most {optimism:g}': _of_shrinkage(n_parameters, r2, of_optimism),
        'overall risk to 0.05': (Z95 / 0.05) ** 2 * event_rate * (1 - event_rate),
    }
    return _result(criteria, event_rate)


def validation(
    event_rate: float,
    auc: float,
    predictors: Predictors | None = None,
    oe_width: float = 0.2,
    slope_width: float = 0.2,
    auc_width: float = 0.1,
) -> dict[str, Any]:
    """Riley et al. 2021, Stat. Med. 40:4230: patients for 95 % intervals of these widths.

    Args:
        predictors: distribution of the logit of the risks; None: :func:`binormal`.
        oe_width: of observed / expected around 1.
    """
    _require_share(event_rate=event_rate)
    if not 0.5 < auc < 1:
        raise UserError(f'ROC AUC {auc:g}: expected between 0.5 and 1')
    slope_error = slope_width / (2 * Z95)
    oe_error = math.asinh(oe_width / 2) / Z95  # exp(z se) - exp(-z se) = width
    criteria = {
        'observed / expected': (1 - event_rate) / (event_rate * oe_error**2),
        'calibration slope': _of_slope(*(predictors or binormal(event_rate, auc))) / slope_error**2,
        'ROC AUC': _of_auc(event_rate, auc, auc_width / (2 * Z95)),
    }
    return _result(criteria, event_rate)


def needed(probs: NDArray, labels: NDArray) -> dict[str, Any] | None:
    """``validation`` at the event rate, AUC and spread of risks of these patients; None: they do not tell."""
    auc = roc_auc(probs, labels)['value']
    if auc is None or not 0.5 < auc < 1 or not ((probs > 0) & (probs < 1)).all():
        return None
    return validation(float(labels.mean()), auc, (logit(probs), np.full(len(probs), 1 / len(probs))))


def net_benefit(
    event_rate: float, sensitivity: float, specificity: float, threshold: float, width: float = 0.2
) -> int:
    """Patients for an interval of this width of the standardised net benefit (same paper, section 3.4)."""
    _require_share(event_rate=event_rate, threshold=threshold)
    odds = (1 - event_rate) / event_rate * threshold / (1 - threshold)
    false_rate = 1 - specificity
    variance = sensitivity * (1 - sensitivity) / event_rate
    variance += odds**2 * specificity * false_rate / (1 - event_rate)
    variance += odds**2 * false_rate**2 / (event_rate * (1 - event_rate))
    return math.ceil(variance / (width / (2 * Z95)) ** 2)


def r2_of_auc(event_rate: float, auc: float) -> float:
    """Cox-Snell R2 of a model with this AUC whose logit is normal in both classes.

    Riley, Van Calster & Collins 2021, Stat. Med. 40:859; the integral instead of their simulation.
    """
    _require_share(event_rate=event_rate)
    x, weights = binormal(event_rate, auc)
    risk = expit(x)
    fitted = np.sum(weights * (xlogy(risk, risk) + xlogy(1 - risk, 1 - risk)))
    null = xlogy(event_rate, event_rate) + xlogy(1 - event_rate, 1 - event_rate)
    return float(1 - np.exp(-2 * (fitted - null)))


def normal(mean: float, sd: float) -> Predictors:
    """Linear predictor that is normal among all patients."""
    weights = stats.norm.pdf(GRID)
    return mean + sd * GRID, weights / weights.sum()


def binormal(event_rate: float, auc: float) -> Predictors:
    """Calibrated linear predictor, normal with one variance in both classes, with this AUC and event rate."""
    variance = 2 * stats.norm.ppf(auc) ** 2  # Austin & Steyerberg 2012, BMC Med. Res. Methodol. 12:82
    mean = logit(event_rate) - variance / 2  # of patients without the event; the difference is the variance
    sd = math.sqrt(variance)
    x = np.linspace(mean - 10 * sd, mean + variance + 10 * sd, 8001)
    weights = (1 - event_rate) * stats.norm.pdf(x, mean, sd) + event_rate * stats.norm.pdf(
        x, mean + variance, sd
    )
    return x, weights / weights.sum()


def _of_shrinkage(n_parameters: int, r2: float, shrinkage: float) -> float:
    return n_parameters / ((shrinkage - 1) * math.log(1 - r2 / shrinkage))


def _of_slope(x: NDArray, weights: NDArray) -> float:
    """Variance of the calibration slope, times the number of patients."""
    information = weights * expit(x) * (1 - expit(x))
    zero, one, two = (float(np.sum(information * x**power)) for power in (0, 1, 2))
    return zero / (zero * two - one**2)


def _of_auc(event_rate: float, auc: float, error: float) -> float:
    """Newcombe 2006, Stat. Med. 25:559, method 4, solved for the number of patients."""
    both = (1 - auc) / (2 - auc) + auc / (1 + auc)
    a = event_rate * (1 - event_rate) * error**2
    b, c = auc * (1 - auc) * both / 2, auc * (1 - auc) * (1 - both)
    return (b + math.sqrt(b**2 + 4 * a * c)) / (2 * a)


def _result(criteria: dict[str, float], event_rate: float) -> dict[str, Any]:
    rows = [dict(criterion=name, n=math.ceil(n)) for name, n in criteria.items()]
    n = math.ceil(max(criteria.values()))
    return dict(n=n, n_events=math.ceil(n * event_rate), criteria=rows)


def _require_share(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise UserError(f'{name} is {value:g}, expected between 0 and 1')
