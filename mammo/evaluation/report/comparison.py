"""Two models on the patients that both have scored: every headline difference with its interval.

Model, Model, replicates, options -> dict of differences
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.evaluation import resampling, statistics
from mammo.evaluation.clinical_use import clinical_utility
from mammo.evaluation.cohort.pooling import Model
from mammo.evaluation.differences import delta_npv, delta_proportion, delta_resampled
from mammo.evaluation.estimates import Estimate, UndefinedError, require_classes, require_probs, undefined
from mammo.evaluation.report.options import Options
from mammo.records.predictions import PredictionError

DELTAS = ('roc_auc', 'pr_auc', 'brier', 'reduction_rate', 'sensitivity', 'npv', 'mean_net_benefit')
Drawn = dict[str, resampling.Replicates]


def compare(a: str, b: str, models: dict[str, Model], drawn: Drawn, options: Options) -> dict[str, Any]:
    """Differences a minus b; the p value is that of DeLong's test, like the interval of the AUC."""
    left, right, alone = _common(a, b, models, options)
    result = dict(a=a, b=b, n_patients=len(left), n_patients_of_one_model_only=alone)
    scores, labels = np.stack([left.score, right.score]), left.label.to_numpy(float)
    try:
        if not len(labels):
            raise UndefinedError('there are none; do both files spell the ids alike?')
        require_classes(labels)
    except UndefinedError as error:
        reason = f'on the common patients: {error}'
        nothing = {f'delta_{name}': undefined(reason) for name in DELTAS}
        return result | nothing | dict(delta_net_benefit=[], reason=reason)
    if alone or len(left) != len(models[a].table) or a not in drawn or b not in drawn:
        both = resampling.bootstrap(scores, labels, options.n_bootstrap, options.rng(), options.sensitivity)
    else:
        both = resampling.Replicates(*(np.stack(pair) for pair in zip(drawn[a], drawn[b], strict=True)))
    deltas = dict(
        delta_roc_auc=statistics.delta_auc(*scores, labels),
        delta_pr_auc=_resampled(scores, labels, both, 1, options),
        **_of_probs(scores, labels, options.thresholds),
        **_at_thresholds(left, right, both, options),
    )
    curve = clinical_utility.delta_net_benefit(scores[0], scores[1], labels, options.thresholds)
    return result | deltas | dict(delta_net_benefit=curve)


def _common(
    a: str, b: str, models: dict[str, Model], options: Options
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    left, right = (models[name].table for name in (a, b))
    common = left.index.intersection(right.index, sort=True)
    alone = len(left) + len(right) - 2 * len(common)
    if alone and options.strict:
        odd = ', '.join(left.index.symmetric_difference(right.index)[:10])
        raise PredictionError(
            f'{a} and {b}: {alone} patients have only one of the two scores: {odd}; leave out --strict'
        )
    left, right = left.loc[common], right.loc[common]
    if (left.label != right.label).any():
        odd = ', '.join(common[left.label != right.label][:10])
        raise PredictionError(
            f'{a} and {b}: labels differ for patients {odd}; evaluate both against one truth'
        )
    return left, right, alone


def _resampled(
    scores: NDArray, labels: NDArray, both: resampling.Replicates, place: int, options: Options,
    note: str = '',
) -> Estimate:  # fmt: skip
    """Difference of one of the statistics of ``Replicates``."""
    values = [resampling.point(s, labels, options.sensitivity)[place] for s in scores]
    return delta_resampled(values[0] - values[1], *both[place], note)


def _of_probs(scores: NDArray, labels: NDArray, thresholds: NDArray) -> dict[str, Estimate]:
    """Brier score and net benefit: means of per-patient differences."""
    try:
        require_probs(scores)
    except UndefinedError as reason:
        return dict.fromkeys(('delta_brier', 'delta_mean_net_benefit'), undefined(str(reason)))
    squares = (scores - labels) ** 2
    benefits = [clinical_utility.mean_benefit(s, labels, thresholds) for s in scores]
    method = 'normal, paired per-patient differences'
    return dict(
        delta_brier=statistics.mean(squares[0] - squares[1], method),
        delta_mean_net_benefit=statistics.mean(benefits[0] - benefits[1], method),
    )


def _at_thresholds(
    left: pd.DataFrame, right: pd.DataFrame, both: resampling.Replicates, options: Options
) -> dict[str, Estimate]:
    """At the development thresholds of both; without them, biopsies spared at thresholds chosen here."""
    labels = left.label.to_numpy(float)
    if left.threshold.notna().all() and right.threshold.notna().all():
        called = [(part.score >= part.threshold).to_numpy() for part in (left, right)]
        event = labels == 1
        return dict(
            delta_reduction_rate=delta_proportion(~called[0], ~called[1]),
            delta_sensitivity=delta_proportion(called[0][event], called[1][event]),
            delta_npv=delta_npv(*called, labels),
        )
    scores = np.stack([left.score, right.score])
    note = ', thresholds chosen in each draw'
    nothing = undefined('needs development data of both models (--dev)')
    return dict(
        delta_reduction_rate=_resampled(scores, labels, both, 2, options, note),
        delta_sensitivity=nothing,
        delta_npv=nothing,
    )
