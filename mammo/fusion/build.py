"""The fusion set: clinical table, mammogram features and splits joined by patient id.

checked table, schema, Features, labels by split -> arrays by file name, schema.json
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.errors import listed
from mammo.fusion.clinical import ClinicalEncoder, read_clinical
from mammo.fusion.doubts import doubts
from mammo.fusion.masking import FLAG
from mammo.fusion.schema import Schema, read_schema
from mammo.records.features import Features, read_features
from mammo.records.folds import PARTS
from mammo.records.fusion_set import (
    MAMMOGRAMS,
    TUMOR_SIDE,
    UNSIDED,
    FusionError,
    read_fusion_schema,
)
from mammo.records.meta import read_meta
from mammo.records.storage.files import replacing, write_json
from mammo.records.tables.matching import check_patients
from mammo.records.versions import VERSIONS

logger = logging.getLogger(__name__)


class FusionSet(NamedTuple):
    """What the folder of a fusion set holds."""

    arrays: dict[str, NDArray]  # by name of the file without .npy
    schema: dict[str, Any]  # of schema.json

    def write(self, folder: Path) -> None:
        """Each file whole or not at all, schema.json last."""
        for name, array in self.arrays.items():
            with replacing(folder / f'{name}.npy') as tmp:
                np.save(tmp, array)
        write_json(folder / 'schema.json', self.schema)


def build_from_files(
    clinical: Path, features: Path, splits: Path, label: str, out_dir: Path, *,
    schema: Path | None = None, fitted: Path | None = None, allow_unmatched: bool = False,
    strict: bool = False, patient_label: str = 'same',
) -> None:  # fmt: skip
    """Read, match, fit on train (or take ``fitted``), encode, write; nothing before all is well.

    Args:
        clinical: CSV or TSV, a row per patient.
        features: npz of tools/extract_features.py.
        splits: folder of train, val and test.json.
        schema: YAML of the clinical variables; or
        fitted: schema.json of the site whose checkpoint is applied.
        allow_unmatched: more than one in ten patients of table or splits may match nothing.
        strict: refuse patient ids that look alike.
        patient_label: see :func:`read_labels`.
    """
    old = read_fusion_schema(fitted) if fitted else None
    if old:
        declared = Schema.from_dict(old['x_preope']['encoder']['schema'])
    else:
        assert schema, 'a schema or a fitted one'
        declared = read_schema(schema)
    values = read_clinical(clinical, declared)
    of_images = read_features(features)
    names = [name for name in PARTS if not old or (splits / f'{name}.json').exists()]
    labels = {name: read_labels(splits / f'{name}.json', label, patient_label) for name in names}
    patients = {patient for y in labels.values() for patient in y.index}
    check_patients(set(values.index), patients, clinical.name, allow=allow_unmatched, strict=strict)
    places = (clinical.name, str(features))
    built = build_fusion_set(values, declared, of_images, labels, label, fitted=old, places=places)
    built.write(out_dir)
    logger.info('%s: patients %s', out_dir, built.schema['patients'])


def build_fusion_set(
    values: pd.DataFrame, schema: Schema, features: Features, labels: Mapping[str, pd.Series], label: str, *,
    fitted: dict[str, Any] | None = None, places: tuple[str, str] = ('clinical table', 'features'),
) -> FusionSet:  # fmt: skip
    """Join by patient id, learn the imputation from train patients or take that of ``fitted``, encode.

    Args:
        values: of ``check_table``: patient id x variable.
        labels: per split, label by patient id, NaN if unknown.
        places: how messages call the clinical table and the features.

    Raises:
        FusionError: an id in two splits, no id that matches, features unlike those of ``fitted``.
    """
    clinical, mammo = places
    if fitted and fitted['feat_5'] != features.description | dict(fill=fitted['feat_5']['fill']):
        raise FusionError(
            f'{mammo}: {features.description} differ from those fitted; extract the features alike'
        )
    unmatched = _unmatched(labels, {clinical: values, Path(mammo).name: features.sided})
    patients = values.index.union(features.sided.index)
    labels = {name: y[y.index.isin(patients)] for name, y in labels.items()}
    learned = fitted or _fit_schema(values, schema, features, labels['train'].index)
    arrays = {
        f'{name}_{key}': array
        for name, y in labels.items()
        for key, array in _encode(values, features, y, learned).items()
    }
    if not fitted:
        names = [*learned['x_preope']['columns'], *(f'{name}{FLAG}' for name in values)]
        flags = arrays['train_missing'][:, : values.shape[1]]
        x = np.hstack([arrays['train_x_preope'], flags])
        for sentence in doubts(names, x, arrays['train_y']):
            logger.warning('%s: %s', clinical, sentence)
    counts = {name: len(y) for name, y in labels.items()}
    if len(features.description['columns']) != 5:
        logger.info('feat_5.npy keeps its name but holds the columns %s', features.description['columns'])
    return FusionSet(arrays, learned | dict(label=label, patients=counts, unmatched=unmatched))


def read_labels(path: Path, label: str, patient_label: str = 'same') -> pd.Series:
    """Meta file -> label by patient id, NaN if no image of the patient has one.

    Args:
        patient_label: of a patient whose images differ: ``'same'``: an error; ``'max'``: the highest.
    """
    meta = read_meta(path)
    labels: dict[str, set[float]] = {}
    tasks = meta['metainfo']['tasks']
    if label not in tasks:
        raise FusionError(f'{path}: no task {label!r} among {tasks}; choose another --label')
    for item in meta['data_list']:
        if not item.get('patient_id'):
            raise FusionError(f'{path}: {item["img_path"]!r} has no patient_id; add it to the meta file')
        values = labels.setdefault(item['patient_id'], set())
        values |= {item['gt_label'][label]} if label in item['gt_label'] else set()
    mixed = {patient: sorted(values) for patient, values in labels.items() if len(values) > 1}
    if mixed and patient_label == 'same':
        first = dict(list(mixed.items())[:5])
        raise FusionError(f'{path}: {len(mixed)} patients with several values of {label}: {first}; correct')
    return pd.Series(
        {patient: max(values, default=np.nan) for patient, values in labels.items()}, dtype=float
    )


def _unmatched(labels: Mapping[str, pd.Series], sources: dict[str, pd.DataFrame]) -> dict[str, list[str]]:
    """Patients whom each source lacks; an id in two splits, or a source where no id matches, is an error."""
    wanted = pd.Index([patient for series in labels.values() for patient in series.index])
    if not wanted.is_unique:
        repeated = sorted(wanted[wanted.duplicated()])
        raise FusionError(f'{len(repeated)} patients are in more than one split: {repeated[:5]}; split again')
    unmatched = {name: list(wanted.difference(frame.index)) for name, frame in sources.items()}
    for name, lacking in unmatched.items():
        if len(lacking) == len(wanted):
            there = list(sources[name].index[:3])
            raise FusionError(f'{name}: no id matches, splits have {lacking[:3]}, it has {there}; unify')
        if lacking:
            text = listed(lacking, 20)
            logger.info('%s: %d of %d patients are not in it: %s', name, len(lacking), len(wanted), text)
    return unmatched


def _fit_schema(values: pd.DataFrame, schema: Schema, features: Features, train: pd.Index) -> dict[str, Any]:
    """Learn the imputation from train patients -> schema.json less what belongs to one site."""
    encoder, fill = ClinicalEncoder(schema).fit(values.reindex(train)), features.sided.reindex(train).mean()
    if fill.isna().any():
        raise FusionError(f'none of the {len(train)} train patients has mammogram features; check the ids')
    sides = [TUMOR_SIDE] if features.both_sides is not None else []
    content = dict(
        x_preope=dict(columns=encoder.columns, encoder=encoder.to_dict()),
        feat_5=features.description | dict(fill=fill.tolist()),
        missing=[*values, MAMMOGRAMS, *sides],
    )
    return dict(format_version=VERSIONS['fusion_set'], **content)


def _encode(
    values: pd.DataFrame, features: Features, y: pd.Series, schema: dict[str, Any]
) -> dict[str, NDArray]:
    """One split: rows in the order of ``y``, imputed as ``schema`` says -> array by file name."""
    clinical, mammo = values.reindex(y.index), features.sided.reindex(y.index)
    encoder = ClinicalEncoder.from_dict(schema['x_preope']['encoder'])
    fill = dict(zip(schema['feat_5']['columns'], schema['feat_5']['fill'], strict=True))
    arrays = dict(
        x_preope=encoder.transform(clinical), feat_5=mammo.fillna(fill).to_numpy(np.float32),
        y=y.to_numpy(), fortnr=y.index.to_numpy(dtype=str),
    )  # fmt: skip
    flags = [clinical.isna(), mammo.isna().any(axis=1)]
    if TUMOR_SIDE in schema['missing']:
        if features.both_sides is None or features.side_known is None:
            raise FusionError(
                'the features do not hold both breasts, the fitted schema expects it; extract again'
            )
        flags.append(~features.side_known.reindex(y.index, fill_value=False))
        arrays[UNSIDED] = features.both_sides.reindex(y.index).fillna(fill).to_numpy(np.float32)
    return arrays | dict(missing=np.column_stack(flags).astype(bool))
