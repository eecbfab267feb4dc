"""What an estimate is: a value, its interval and method, or the reason why there is none.

numbers -> dict(value, ci_low, ci_high, method [, reason])
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mammo.errors import UserError

Estimate = dict[str, Any]
Z = float(ndtri(0.975))  # every interval is a 95 % interval


class UndefinedError(UserError):
    """These data do not define the statistic; the message is the reason."""


def estimate(value: float, low: float | None, high: float | None, method: str, **more: Any) -> Estimate:
    """Plain numbers of one estimate, interval and method."""
    ends = [None if end is None else float(end) for end in (low, high)]
    return dict(value=float(value), ci_low=ends[0], ci_high=ends[1], method=method, **more)


def resampled(value: float, low: float, high: float, method: str) -> Estimate:
    """An estimate with an interval of replicates, which is none if they are all equal."""
    if high - low < 1e-12:
        return estimate(value, None, None, method, reason='no interval: all replicates are equal')
    return estimate(value, low, high, method)


def interval_of_difference(
    a: Estimate, b: Estimate, correlation: float, factor: float = 1.0
) -> tuple[float, float]:
    """Interval of a - factor * b from those of both, by the method of variance estimates recovery.

    Zou & Donner 2008, Stat. Med. 27:1693.
    """
    (a_down, a_up), (b_down, b_up) = (
        (scale * (e['value'] - e['ci_low']), scale * (e['ci_high'] - e['value']))
        for e, scale in ((a, 1), (b, factor))
    )
    down = a_down**2 + b_up**2 - 2 * correlation * a_down * b_up
    up = a_up**2 + b_down**2 - 2 * correlation * a_up * b_down
    value = a['value'] - factor * b['value']
    return value - math.sqrt(max(down, 0)), value + math.sqrt(max(up, 0))


def undefined(reason: str) -> Estimate:
    """The estimate of what is not defined."""
    return dict(value=None, ci_low=None, ci_high=None, method=None, reason=reason)


def in_words(value: Estimate | None, form: str = '.3f', note: str = '') -> str:
    """Value and interval as text.

    Args:
        form: of the numbers.
        note: what stands before the interval.

    Example:
        >>> in_words(estimate(0.9, 0.85, 0.94, 'Wilson'), '.0%'), in_words(None)
        ('90% (85% to 94%)', 'unknown')
    """
    if not value or value.get('value') is None:
        return 'unknown'
    text, low = f'{value["value"]:{form}}', value.get('ci_low')
    return text if low is None else f'{text} ({note}{low:{form}} to {value["ci_high"]:{form}})'


def defined(function: Callable[..., Estimate]) -> Callable[..., Estimate]:
    """Let a function raise ``UndefinedError``: it then returns nulls with the reason."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Estimate:
        try:
            return function(*args, **kwargs)
        except UndefinedError as reason:
            return undefined(str(reason))

    return wrapped


def require_classes(labels: NDArray, at_least: int = 1) -> None:
    """Refuse labels with fewer than ``at_least`` positives or negatives."""
    for name, count in (('positive', int(np.sum(labels == 1))), ('negative', int(np.sum(labels == 0)))):
        if count < at_least:
            raise UndefinedError(
                f'{count or "no"} {name} {"patient" if count == 1 else "patients"}, {at_least} needed'
            )


def require_probs(scores: NDArray) -> None:
    """Refuse scores that cannot be probabilities."""
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        raise UndefinedError('scores outside 0 to 1 are no probabilities')
