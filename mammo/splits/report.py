"""What a split has made: shared patients, labels and cohorts of every part, counted on what is written.

items by fold and part -> dict for split_report.json
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from mammo.records.folds import repeat_of
from mammo.splits.strata import patient_of

Items = Sequence[dict]


def describe_folds(
    folds: Mapping[tuple[str, int], Mapping[str, Items]], holdout: Items, group: str
) -> dict[str, Any]:
    """Count shared patients, labels and cohorts of every part; a patient is a ``patient_id``."""
    described: list[dict[str, Any]] = []
    tests: Counter[tuple[str, str]] = Counter()  # by partition and patient
    everyone = held_out = {patient_of(item, group) for item in holdout}
    for (outer, inner), fold in folds.items():
        parts = {**fold, **({'holdout': holdout} if holdout else {})}
        patients = {part: {patient_of(item, group) for item in items} for part, items in parts.items()}
        shared = {f'{a}-{b}': len(patients[a] & patients[b]) for a, b in combinations(patients, 2)}
        contents = {part: _describe(patients[part], items) for part, items in parts.items()}
        described.append(dict(outer=outer, inner=inner, shared_patients=shared, parts=contents))
        everyone = everyone.union(*patients.values())
        if inner == 0:
            tests.update((repeat_of(outer), patient) for patient in patients['test'])
    return dict(
        shared_patients_max=max(max(fold['shared_patients'].values()) for fold in described),
        patients=len(everyone),
        patients_held_out=len(held_out),
        patients_tested_more_than_once=sum(n > 1 for n in tests.values()),
        patients_never_tested=len(everyone - {patient for _, patient in tests} - held_out),
        folds=described,
    )


def _describe(patients: set[str], items: Sequence[dict]) -> dict[str, Any]:
    labels = {}
    for task in sorted({task for item in items for task in item.get('gt_label') or {}}):
        values = [item['gt_label'][task] for item in items if task in (item.get('gt_label') or {})]
        labels[task] = dict(images_known=len(values), mean=round(float(np.mean(values)), 6))
    cohorts = dict(sorted(Counter(str(item.get('cohort', 'unknown')) for item in items).items()))
    sides = {(item.get('patient_id'), item['laterality']) for item in items if item.get('laterality')}
    return dict(patients=len(patients), breasts=len(sides), images=len(items), labels=labels, cohorts=cohorts)
