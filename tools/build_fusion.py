"""Join clinical table, mammogram features and splits by patient id into the files that mlp.py reads.

TABLE, SCHEMA, features.npz, folder of {train,val,test}.json -> {split}_*.npy and schema.json
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.fusion.clinical import ClinicalEncoder, ClinicalError, Schema, read_clinical, read_schema
from mammo.records.features import FeaturesError, read_features
from mammo.records.files import replacing, write_json
from mammo.records.fusion_set import FORMAT_VERSION, FusionError, read_fusion_schema
from mammo.records.meta import MetaError, read_meta

SPLITS = ('train', 'val', 'test')
logger = logging.getLogger(__name__)


def read_labels(path: Path, label: str) -> pd.Series:
    """Meta file -> label by patient id, NaN if no image of the patient has one."""
    meta = read_meta(path)
    found: dict[str, set[float]] = {}
    tasks = meta['metainfo']['tasks']
    if label not in tasks:
        raise FusionError(f'{path}: no task {label!r} among {tasks}; choose another --label')
    for item in meta['data_list']:
        if not item.get('patient_id'):
            raise FusionError(f'{path}: {item["img_path"]!r} has no patient_id; add it to the meta file')
        values = found.setdefault(item['patient_id'], set())
        values |= {item['gt_label'][label]} if label in item['gt_label'] else set()
    mixed = {patient: sorted(values) for patient, values in found.items() if len(values) > 1}
    if mixed:
        first = dict(list(mixed.items())[:5])
        raise FusionError(f'{path}: {len(mixed)} patients with several values of {label}: {first}; correct')
    return pd.Series({patient: next(iter(values), np.nan) for patient, values in found.items()}, dtype=float)


def match(labels: dict[str, pd.Series], sources: dict[str, pd.DataFrame]) -> dict[str, list[str]]:
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
        logger.info('%s: %d of %d patients are not in it: %s', name, len(lacking), len(wanted), lacking[:20])
    return unmatched


def encode(values: pd.DataFrame, features: pd.DataFrame, y: pd.Series, schema: dict) -> dict[str, np.ndarray]:
    """One split: rows in the order of ``y``, imputed as ``schema`` says -> array by file name."""
    clinical, mammo = values.reindex(y.index), features.reindex(y.index)
    encoder = ClinicalEncoder.from_dict(schema['x_preope']['encoder'])
    filled = mammo.fillna(dict(zip(schema['feat_5']['columns'], schema['feat_5']['fill'], strict=True)))
    missing = np.column_stack([clinical.isna(), mammo.isna().any(axis=1)])
    arrays = dict(x_preope=encoder.transform(clinical), feat_5=filled.to_numpy(np.float32), missing=missing)
    return arrays | dict(y=y.to_numpy(), fortnr=y.index.to_numpy(dtype=str))


def fit_schema(values: pd.DataFrame, features: pd.DataFrame, schema: Schema, about: dict) -> dict[str, Any]:
    """Learn the imputation from rows of train patients -> schema.json less what belongs to one site."""
    encoder, fill = ClinicalEncoder(schema).fit(values), features.mean()
    if fill.isna().any():
        raise FusionError(f'none of the {len(values)} train patients has mammogram features; check the ids')
    clinical = dict(columns=encoder.columns, encoder=encoder.to_dict())
    content = dict(
        x_preope=clinical, feat_5=about | dict(fill=fill.tolist()), missing=[*values, 'mammograms']
    )
    return dict(format_version=FORMAT_VERSION, **content)


def build(args: argparse.Namespace) -> None:
    """Read, match, fit on train (or take --fitted), encode; nothing is written before all is well."""
    fitted = read_fusion_schema(args.fitted) if args.fitted else {}
    schema = Schema.from_dict(fitted['x_preope']['encoder']['schema']) if fitted else read_schema(args.schema)
    values = read_clinical(args.clinical, schema)
    features, _, about = read_features(args.features)
    if fitted and fitted['feat_5'] != about | dict(fill=fitted['feat_5']['fill']):
        raise FusionError(f'{args.features}: {about} differs from {args.fitted}; extract the features alike')
    names = [name for name in SPLITS if not fitted or (args.splits / f'{name}.json').exists()]
    labels = {name: read_labels(args.splits / f'{name}.json', args.label) for name in names}
    unmatched = match(labels, {str(args.clinical.name): values, str(args.features.name): features})
    known = values.index.union(features.index)
    labels = {name: y[y.index.isin(known)] for name, y in labels.items()}
    if not fitted:
        train = labels['train'].index
        fitted = fit_schema(values.reindex(train), features.reindex(train), schema, about)
    arrays = {
        f'{name}_{k}': v for name, y in labels.items() for k, v in encode(values, features, y, fitted).items()
    }
    for name, array in arrays.items():
        with replacing(args.out_dir / f'{name}.npy') as tmp:
            np.save(tmp, array)
    counts = {name: len(y) for name, y in labels.items()}
    site = dict(label=args.label, patients=counts, unmatched=unmatched)
    write_json(args.out_dir / 'schema.json', fitted | site)
    if len(about['columns']) != 5:
        logger.info('feat_5.npy keeps its name but holds the columns %s', about['columns'])
    logger.info('%s: patients %s', args.out_dir, counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--clinical', type=Path, required=True, help='CSV or TSV, one row per patient')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--schema', type=Path, help='YAML, see configs/clinical/example.yaml')
    source.add_argument('--fitted', type=Path, help='schema.json of the site whose checkpoint is applied')
    parser.add_argument('--features', type=Path, required=True, help='npz of tools/extract_features.py')
    parser.add_argument('--splits', type=Path, required=True, help='folder of train, val and test.json')
    parser.add_argument('--label', required=True, help='task in the meta files, such as N')
    parser.add_argument('--out-dir', type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    try:
        build(parser.parse_args())
    except (ClinicalError, FeaturesError, FusionError, MetaError) as error:
        parser.exit(2, f'build_fusion.py: error: {error}\n')


if __name__ == '__main__':
    main()
