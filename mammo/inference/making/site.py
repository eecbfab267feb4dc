"""What a site adds to a bundle: how it does on patients there, their recalibration and their threshold.

calibrated probs and labels of patients there -> entry of decision.json; entry -> section of the model card
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mammo.errors import UserError
from mammo.evaluation import statistics
from mammo.evaluation.cells import MIN_CLASS, decided
from mammo.evaluation.clinical_use import calibration, sample_size
from mammo.evaluation.clinical_use.updating import closed_tests
from mammo.evaluation.estimates import UndefinedError, in_words

MIN_EVENTS = 100  # Collins et al. 2016, Stat. Med. 35:214: fewer say little of a calibration
SHOWN = dict(
    roc_auc='ROC AUC', brier='Brier score', intercept='calibration intercept', slope='calibration slope',
    observed_expected='observed / expected',
)  # fmt: skip


def site_entry(rows: pd.DataFrame, name: str, target: float, confidence: float | None) -> dict[str, Any]:
    """Tests, recalibration and threshold.

    Args:
        rows: patient_id, prob (calibrated, as the bundle says it), label (0 or 1).
        target: sensitivity to keep; with ``confidence``, the true one.

    Raises:
        UserError: too few patients of a class, or scores that mean nothing there.
    """
    probs, labels = rows.prob.to_numpy(float), rows.label.to_numpy(float)
    check_classes(rows.label, name)
    try:
        update = closed_tests(probs, labels)
    except UndefinedError as reason:
        raise UserError(f'{name}: the bundle cannot be recalibrated: {reason}') from None
    recalibration = update['recalibration']
    after = probs if recalibration is None else calibration.recalibrate(recalibration, probs)
    decision = decided(rows.assign(prob=after, subset=0), target, confidence)
    return dict(
        name=name, chosen_on=f'patients of {name}', target_sensitivity=target, confidence=confidence,
        n_patients=len(labels), n_events=int(labels.sum()), before=_measures(probs, labels),
        after=_measures(after, labels), needed=sample_size.needed(probs, labels), **update, **decision,
    )  # fmt: skip


def check_classes(labels: pd.Series, name: str) -> None:
    """
    Raises:
        UserError: too few patients of a class.
    """
    n_events = int(labels.sum())
    if min(n_events, len(labels) - n_events) < MIN_CLASS:
        counts = f'{n_events} positive and {len(labels) - n_events} negative patients'
        raise UserError(f'{name}: {counts}; {MIN_CLASS} of each are the least')


def site_lines(site: dict[str, Any]) -> Iterator[str]:
    """What was found and done, as Markdown."""
    few = (
        f' Fewer than {MIN_EVENTS} positive: all of this is uncertain.'
        if site['n_events'] < MIN_EVENTS
        else ''
    )
    yield f'Patients with answer and label: {site["n_patients"]}, of these positive: {site["n_events"]}.{few}'
    if site['needed']:
        needed, events = site['needed']['n'], site['needed']['n_events']
        yield f'Precise estimates take {needed} patients, {events} of them positive (Riley et al. 2021).'
    yield ''
    yield '| on these patients, 95 % intervals | as it came | recalibrated on them |\n|---|---|---|'
    for key, words in SHOWN.items():
        yield f'| {words} | {in_words(site["before"][key])} | {in_words(site["after"][key])} |'
    yield ''
    for test in site['tests']:
        numbers = f'chi-squared {test["chi2"]:.2f}, {test["df"]} degrees of freedom, p = {test["p"]:.2g}'
        yield f'- recalibration "{test["hypothesis"]}" against "intercept and slope": {numbers}'
    yield f'- recalibration: {site["method"]}{_numbers(site["recalibration"])}'
    yield f'- threshold: {_threshold(site)}'


def _measures(probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    measures = dict(roc_auc=statistics.roc_auc(probs, labels), brier=calibration.brier(probs, labels))
    return measures | calibration.summary(probs, labels)


def _numbers(recalibration: dict[str, Any] | None) -> str:
    if recalibration is None:
        return ''
    return f' ({recalibration["intercept"]:.3f} + {recalibration["slope"]:.3f} * logit)'


def _threshold(site: dict[str, Any]) -> str:
    if site['threshold'] is None:
        return site['reason']
    kept = f'{site["target_sensitivity"]:.0%}'
    asked = f'sensitivity {kept} of these patients'
    if site['confidence']:
        asked = f'true sensitivity at least {kept} with {site["confidence"]:.0%} confidence'
    achieved = in_words(site['achieved']['sensitivity'])
    return f'{site["threshold"]:.4g}, for {asked}; found there: {achieved}'
