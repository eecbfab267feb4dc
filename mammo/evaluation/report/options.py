"""What an evaluation is asked to do: the one list of its options and their usual values.

command line or arguments -> Evaluation
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLD_STEP = 0.01  # of prob, decision curve
FORM = 'NAME=PATH[,PATH...]'


class Options(NamedTuple):
    """What decides about the numbers, once the patients are read."""

    n_bootstrap: int = 10_000
    sensitivity: float = 0.9  # to keep
    confidence: float | None = None  # that the true sensitivity is kept; None: where the threshold is chosen
    subgroups: Sequence[str] = ()  # columns of the predictions
    min_group: int = 20  # smaller subgroups get no estimate
    threshold_range: tuple[float, float] = (0.01, 0.6)  # of prob, decision curve
    kind: str = 'auto'  # binary, regression
    seed: int = 0
    strict: bool = False  # refuse to compare models on different patients

    @property
    def thresholds(self) -> NDArray:
        """Of the decision curve, at most ``THRESHOLD_STEP`` apart."""
        low, high = self.threshold_range
        return np.round(np.linspace(low, high, max(2, round((high - low) / THRESHOLD_STEP) + 1)), 6)

    def rng(self) -> np.random.Generator:
        """A fresh generator: every use starts from the same seed, whatever was computed before."""
        return np.random.default_rng(self.seed)


class Reading(NamedTuple):
    """How predictions of images become patients."""

    aggregate: str | None = None  # max or mean, over the images of a patient; None: as mammo.patients.POOLING
    patient_label: str = 'same'  # or max
    all_sides: bool = False
    all_exams: bool = False
    unit: str = 'patient'  # or breast


class Evaluation(NamedTuple):
    """One evaluation, from files to files."""

    pred: Sequence[str]  # NAME=PATH[,PATH...]
    task: str
    out_dir: Path
    dev: Sequence[str] = ()
    gallery: Path | None = None
    members: Mapping[str, Sequence[tuple[str, Path]]] = {}  # by model: outer fold and file of each member
    reading: Reading = Reading()
    options: Options = Options()


def make_evaluation(**named: Any) -> Evaluation:
    """Arguments as ``tools/evaluate.py`` names them -> Evaluation."""
    reading = Reading(**{key: named.pop(key) for key in Reading._fields if key in named})
    options = Options(**{key: named.pop(key) for key in Options._fields if key in named})
    return Evaluation(**named, reading=reading, options=options)


def threshold_range(text: str) -> tuple[float, float]:
    """``LOW,HIGH`` with 0 < LOW < HIGH < 1, for argparse."""
    try:
        low, high = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text} is not LOW,HIGH, as 0.05,0.3') from None
    if not 0 < low < high < 1:
        raise argparse.ArgumentTypeError(f'{text}: expected 0 < LOW < HIGH < 1')
    return low, high
