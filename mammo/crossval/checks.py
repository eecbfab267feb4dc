"""What has to hold before the first fold starts: labels, the fusion, and nobody on two sides.

Folds, external sets, clinical values -> nothing, counts of the leak check, or an error that names all to mend
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations, compress
from typing import Any

import pandas as pd

from mammo.crossval.folds import Fold, Part
from mammo.errors import DataError, UserError, listed
from mammo.fusion.clinical import ClinicalEncoder
from mammo.fusion.schema import Schema
from mammo.leaks import check_spelling, merged, named_by_content, refuse_shared
from mammo.patients import speaking_items
from mammo.records.folds import PARTS, repeat_of
from mammo.records.meta import read_meta
from mammo.records.prediction_table import TEXT_FIELDS
from mammo.records.predictions import carried


def check_labels(folds: Sequence[Fold], tasks: dict[str, str], label: str) -> None:
    """See that every fold can be trained, can choose a checkpoint by its main task, and a report has labels.

    Args:
        folds: all of them.
        tasks: kind by name, the main one first.
        label: task of the report.

    Raises:
        DataError: names every part to learn or choose from that lacks the main task, or to learn from that
            has one class of it; or all test parts lack ``label``.
    """
    main = next(iter(tasks))
    problems = []
    for fold in folds:
        for name in ('train', 'val'):
            if main not in fold.parts[name].labelled:
                problems.append(_no_label(fold, name, main))
        if tasks[main] == 'binary' and len(fold.parts['train'].labelled.get(main, '01')) == 1:
            problems.append(_one_class(fold, 'train', main))
    if problems:
        raise DataError(
            f'{listed(problems, separator="; ")}. {main} is the main task, by which a fold learns and its '
            'checkpoint is chosen: split again with tools/split.py --stratify, or put another task first'
        )
    labelled = sorted(frozenset().union(*(fold.parts['test'].labelled for fold in folds)))
    if label not in labelled:
        raise DataError(f'no test part has a label {label!r} (known: {labelled}); choose another --label')


def check_one_label(folds: Sequence[Fold], label: str, unit: str = 'patient') -> None:
    """See that images that speak for one patient, or one breast, of a test part have one label.

    Raises:
        DataError: some differ, so that no report can be made.
    """
    labels: dict[str, set[float]] = {}
    for fold in folds:
        items = read_meta(fold.folder / 'test.json')['data_list']
        if unit == 'breast':
            items = [
                item | dict(patient_id=f'{item["patient_id"]} {item.get("laterality")}') for item in items
            ]
        for item in compress(items, speaking_items(items, all_sides=unit == 'breast')):
            if label in item['gt_label']:
                labels.setdefault(item['patient_id'], set()).add(item['gt_label'][label])
    mixed = sorted(whose for whose, values in labels.items() if len(values) > 1)
    if mixed:
        raise DataError(
            f'{len(mixed)} of {len(labels)} {unit}s of the test parts have images with differing labels '
            f'{label!r}: {listed(mixed)}; correct them, or take the highest with --patient-label max'
        )


def check_subgroups(folds: Sequence[Fold], columns: Sequence[str]) -> None:
    """See that the images of the test parts tell the subgroups of the report.

    Raises:
        DataError: a column is known of none of them.
    """
    paths = {fold.folder / 'test.json' for fold in folds} if columns else ()
    items = [item for path in paths for item in read_meta(path)['data_list']]
    known = {key for item in items for key in (*carried(item), *item['gt_label'])} | {*TEXT_FIELDS}
    unknown = sorted({*columns} - known)
    if unknown:
        raise DataError(
            f'--subgroup {listed(unknown)}: of no image of the test parts; there are '
            f'{listed(sorted(known), 20)}'
        )


def check_fusion(folds: Sequence[Fold], values: pd.DataFrame, schema: Schema, label: str) -> None:
    """See that the fusion can be fitted in every fold.

    Args:
        folds: all of them.
        values: checked clinical table, patient x variable.
        schema: of these variables.
        label: the binary task that the fusion predicts.

    Raises:
        DataError: names every outer fold with one inner fold, whose fusion has no outputs of a network on
            patients whom it did not learn from but its own; every part without the label or with one class of
            it; and every fold whose train patients have no value of a variable.
    """
    n_inner = Counter(fold.outer for fold in folds)
    problems = [
        f'outer fold {outer} has one inner fold, two are needed' for outer in n_inner if n_inner[outer] < 2
    ]
    for fold in folds:
        for name, part in fold.parts.items():
            if label not in part.labelled:
                problems.append(_no_label(fold, name, label))
            elif name != 'test' and len(part.labelled[label]) == 1:
                problems.append(_one_class(fold, name, label))
        try:
            ClinicalEncoder(schema).fit(values.reindex(sorted(fold.parts['train'].patients)))
        except UserError as error:
            problems.append(f'fold {fold.name}: {error}')
    if problems:
        raise DataError(
            f'the fusion cannot be fitted: {listed(problems, separator="; ")}. Split again '
            'with other --outer, --inner or --stratify, choose another --label, remove the variable, or '
            'leave --with-fusion out'
        )


def _no_label(fold: Fold, name: str, task: str) -> str:
    labelled = sorted(fold.parts[name].labelled)
    return f'{fold.folder / name}.json: no image has a label {task!r} (known: {labelled})'


def _one_class(fold: Fold, name: str, task: str) -> str:
    (value,) = fold.parts[name].labelled[task]
    return f'{fold.folder / name}.json: all labels {task!r} are {value:g}, both classes are needed'


def check_leaks(
    folds: Sequence[Fold],
    external: dict[str, Part],
    pretrained_on: frozenset[str] | set[str] = frozenset(),
    *,
    strict: bool = False,
) -> dict[str, Any]:
    """Prove that no model is tested on what it, its backbone or its choice has seen.

    Args:
        strict: refuse ids that look alike, of which there is a warning else.

    Returns:
        What was counted, for the records.

    Raises:
        DataError: a patient or image is on two sides, or a patient is never or repeatedly tested.
        UserError: ``strict``, and ids look alike.
    """
    sides = {f'{fold.name}/{name}': part.traces for fold in folds for name, part in fold.parts.items()}
    sides = named_by_content(sides | {f'external set {name}': part.traces for name, part in external.items()})
    check_spelling(sides, 'leak check', strict=strict)
    for fold in folds:
        refuse_shared({part: sides[f'{fold.name}/{part}'] for part in PARTS}, f'fold {fold.name}: ')
    everyone = frozenset().union(*(part.patients for fold in folds for part in fold.parts.values()))
    _check_outer_tests(folds, everyone)
    outside = {f'external set {name}': sides[f'external set {name}'] for name in external}
    inside = [side for name, side in sides.items() if name not in outside]
    refuse_shared({'the folds': merged(inside), **outside})  # nor may two external sets share anybody
    tested = everyone.union(*(part.patients for part in external.values()))
    _refuse(tested & pretrained_on, 'the pretraining list and the test patients', 'pretrain without them')
    return dict(
        folds=len(folds),
        patients=len(everyone),
        external_patients={name: len(part.patients) for name, part in external.items()},
        pretraining_patients=len(pretrained_on),
        patients_on_two_sides=0,
    )


def _check_outer_tests(folds: Sequence[Fold], everyone: frozenset[str]) -> None:
    """In each partition every patient is tested in exactly one outer fold, by all models of that fold."""
    tests: dict[str, frozenset[str]] = {}
    for fold in folds:
        test = fold.parts['test'].patients
        _refuse(
            tests.setdefault(fold.outer, test) ^ test,
            f'the test parts of {fold.name} and of the other folds {fold.outer}/*, one only',
            'split again with tools/split.py',
        )
    for repeat in sorted({repeat_of(outer) for outer in tests}):
        outers = [outer for outer in tests if repeat_of(outer) == repeat]
        for a, b in combinations(outers, 2):
            _refuse(tests[a] & tests[b], f'the tests of outer folds {a} and {b}', 'split again')
        never = everyone.difference(*(tests[outer] for outer in outers))
        place = f'no test part of any outer fold{repeat and f" of {repeat}"}'
        _refuse(never, place, 'add their outer fold, or split again')


def _refuse(patients: Iterable[str], place: str, remedy: str) -> None:
    names = sorted(patients)
    if names:
        raise DataError(f'leak check: {len(names)} patients are in {place}: {listed(names)}; {remedy}')
