"""The fusion of every fold, after all of them have been scored: it learns from cross-fitted image outputs.

predictions_{val,test}.json of the folds, clinical table -> <fold>/fusion/data/, <fold>/fusion/<mode>_<model>/

A network knows its training patients by heart: its outputs on them (ROC AUC 0.92 on phantoms) are not what it
says of others (0.75). The fusion of a fold therefore learns from what the networks of the other inner folds,
which had those patients in validation, say of them. Networks differ in offset and scale, so the outputs of
each are brought to mean 0 and deviation 1 over its validation patients; Predictor does the same.
"""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mammo.crossval.folds import Fold
from mammo.errors import DataError
from mammo.fusion.build import build_fusion_set, read_labels
from mammo.fusion.clinical import read_clinical
from mammo.fusion.schema import Schema, read_schema
from mammo.fusion.study import score, train
from mammo.patients import FEATURE_POOLING, patient_features
from mammo.records.features import Features
from mammo.records.fusion_set import read_fusion_schema
from mammo.records.predictions import read_predictions
from mammo.records.storage.files import read_record, sha256_of, write_json
from mammo.records.versions import VERSIONS

FUSION = [(mode, model) for model in ('mlp', 'logistic') for mode in ('clinical-mammo', 'clinical-only')]
logger = logging.getLogger(__name__)


def fuse_all(
    work_dir: Path, members: Mapping[str, Sequence[Fold]], fusion: dict[str, Any], external: dict[str, Any]
) -> None:
    """Build, fit and score the fusions of all folds; those that are there are kept.

    Args:
        members: finished folds by outer fold.
        fusion: paths of the clinical table and its schema, the label, and which label a patient has whose
            images differ.
        external: sites by name, each with its meta file.

    Raises:
        DataError: an outer fold has no patients whom a network of another inner fold has scored.
    """
    schema = read_schema(fusion['schema'])
    rule = dict(label=fusion['label'], patient_label=fusion['patient_label'])
    values = read_clinical(fusion['clinical'], schema)
    for outer, folds in members.items():
        validated = {fold.name: _features(work_dir / fold.name, 'val') for fold in folds}
        if len(folds) < 2:
            raise DataError(
                f'outer fold {outer}: a fusion needs 2 inner folds or more, see tools/split.py --inner'
            )
        development = joined(validated.values())
        made_of = {fold.name: sha256_of(work_dir / fold.name / 'predictions_val.json') for fold in folds}
        for fold in folds:
            logger.info('fusion of fold %s', fold.name)
            _renew(work_dir / fold.name / 'fusion', made_of)
            _fuse(work_dir / fold.name, fold, values, schema, development, rule)
            for name, site in external.items():
                _score_site(work_dir / fold.name, name, Path(site['meta']), values, schema, rule)


def _renew(folder: Path, made_of: dict[str, str]) -> None:
    """Throw away what was made of the outputs of other networks."""
    record = folder / 'made_of.json'
    if not record.is_file() or read_record(record)['validation'] != made_of:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(record, dict(format_version=VERSIONS['made_of'], validation=made_of))


def joined(parts: Iterable[Features]) -> Features:
    """Patients of several sets, described as the first; one who is in several gets her mean features."""
    every = list(parts)
    sided, both = (pd.concat(frames).groupby(level=0).mean() for frames in
                   ([f.sided for f in every], [f.both_sides for f in every]))  # fmt: skip
    side_known = pd.concat([f.side_known for f in every]).groupby(level=0).any()
    return Features(sided.astype(np.float32), both.astype(np.float32), side_known, every[0].description)


def _fuse(
    folder: Path,
    fold: Fold,
    values: pd.DataFrame,
    schema: Schema,
    development: Features,
    rule: dict[str, str],
) -> None:
    """Encoders are fitted on train, models are stopped by val; test is only scored."""
    data = folder / 'fusion' / 'data'
    if not (data / 'schema.json').is_file():
        labels = {
            part: read_labels(fold.folder / f'{part}.json', **rule) for part in ('train', 'val', 'test')
        }
        tested = _features(folder, 'test')
        scored = labels['train'].index.intersection(development.sided.index)
        if scored.empty:
            raise DataError(f'fold {fold.name}: no training patient is in the val part of another inner fold')
        labels['train'] = labels['train'][scored]
        build_fusion_set(values, schema, joined([tested, development]), labels, rule['label']).write(data)
    for mode, model in FUSION:
        out = folder / 'fusion' / f'{mode}_{model}'
        if not (out / 'checkpoint.pth').is_file():
            train(data, out, mode, model=model)


def _score_site(
    folder: Path, name: str, meta: Path, values: pd.DataFrame, schema: Schema, rule: dict[str, str]
) -> None:
    data = folder / 'fusion' / name
    features = _features(folder, f'external_{name}')
    fitted = read_fusion_schema(folder / 'fusion' / 'data' / 'schema.json')
    labels = dict(test=read_labels(meta, **rule))
    build_fusion_set(values, schema, features, labels, rule['label'], fitted=fitted).write(data)
    for mode, model in FUSION:
        out = folder / 'fusion' / f'{mode}_{model}'
        score(data, out / f'external_{name}', mode, out / 'checkpoint.pth', 'test')


def _features(folder: Path, part: str) -> Features:
    """Outputs of a fold's network on a part, in units of its validation patients."""
    validated = _raw(folder / 'predictions_val.json')
    center, scale = validated.sided.mean(), validated.sided.std(ddof=0).replace(0, 1)
    raw = validated if part == 'val' else _raw(folder / f'predictions_{part}.json')
    assert raw.both_sides is not None
    description = raw.description | dict(center=center.tolist(), scale=scale.tolist())
    sided, both = (((x - center) / scale).astype(np.float32) for x in (raw.sided, raw.both_sides))
    return Features(sided, both, raw.side_known, description)


def _raw(path: Path) -> Features:
    """Raw outputs of the images in a prediction file -> features of patients."""
    records = read_predictions(path)
    tasks = list(records[0]['tasks'])
    logits = np.array([[record['tasks'][task]['logit'] for task in tasks] for record in records], np.float64)
    return patient_features(logits, records, tasks, FEATURE_POOLING, 'head')
