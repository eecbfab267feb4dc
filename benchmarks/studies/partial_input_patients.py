"""Patients of the study of partial input, and their cross-validation as tools/cross_validate.py does it.

numbers of phantoms, or the table of METABRIC -> Study; its patients for development and test -> members
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from mammo.fusion.build import build_fusion_set
from mammo.fusion.clinical import check_table
from mammo.fusion.model import fit_splits
from mammo.fusion.partial import Member
from mammo.fusion.schema import Schema, read_schema
from mammo.phantoms.truth import drop_values, image_score, sample_patients
from mammo.records.features import Features
from mammo.records.fusion_set import read_split
from mammo.records.tables.reading import read_table

ROOT = Path(__file__).resolve().parents[2]
N_OUTER, N_INNER = 5, 3
OUTPUTS = ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']


class Study(NamedTuple):
    """Patients with all that is known of them."""

    values: pd.DataFrame
    features: Features
    labels: pd.Series
    schema: Schema
    mode: str


def phantoms(n_patients: int, seed: int) -> Study:
    """Phantom patients; a network that reads the lesion with noise, and says little of the healthy breast."""
    rng = np.random.default_rng(seed)
    table = sample_patients(n_patients, rng)
    table.insert(0, 'patient_id', [f'p{i}' for i in range(n_patients)])
    schema = read_schema(ROOT / 'configs/clinical/phantom.yaml')
    columns = [v.column for v in schema.variables]
    cells = drop_values(table, columns, 0.05, rng)[['patient_id', *columns]].astype(object)
    values = check_table(cells.where(cells.notna(), '').astype(str), schema)
    seen = image_score(table).to_numpy() + 0.7 * rng.standard_normal(n_patients)
    logits = np.column_stack(
        [1.2 * seen - 0.8, 0.8 * seen - 1, 0.2 * seen - 0.6, 0.5 * seen + 0.5, 0.1 * seen + 0.3]
    )
    sided = logits + 0.2 * rng.standard_normal(logits.shape)
    healthy = np.array([-1.6, -1.5, -0.8, 0.2, 0.2]) + 0.3 * rng.standard_normal(logits.shape)
    frames = [
        pd.DataFrame(x, values.index, OUTPUTS).astype(np.float32) for x in (sided, (sided + healthy) / 2)
    ]
    about = dict(columns=OUTPUTS, stage='head', aggregate='mean')
    features = Features(*frames, pd.Series(True, values.index), about)
    return Study(values, features, pd.Series(table.N.to_numpy(float), values.index), schema, 'clinical-mammo')


def metabric(path: str) -> Study:
    """METABRIC, positive nodes from clinical variables."""
    table = read_table(path)
    schema = read_schema(ROOT / 'configs/clinical/metabric.yaml')
    nodes = pd.to_numeric(table['Lymph nodes examined positive'].replace('NA', ''))
    values = check_table(table, schema)[nodes.notna().to_numpy()]
    labels = pd.Series((nodes.dropna() > 0).astype(float).to_numpy(), values.index)
    none = pd.DataFrame(np.zeros((len(values), 1), np.float32), values.index, ['none'])
    features = Features(none, None, None, dict(columns=['none'], stage='head', aggregate='mean'))
    return Study(values, features, labels, schema, 'clinical-only')


def split_ids(y: pd.Series, n: int, seed: int) -> Iterator[tuple[pd.Series, pd.Series]]:
    for rest, part in StratifiedKFold(n, shuffle=True, random_state=seed).split(y, y):
        yield y.iloc[rest], y.iloc[part]


def cross_validated(study: Study, dev: pd.Series, test: pd.Series, **options: Any) -> tuple[list, list]:
    """Groups of members with the development patients they did not see; members with the test patients."""
    groups, everyone = [], []
    for outer, (rest, held) in enumerate(split_ids(dev, N_OUTER, 0)):
        group = []
        for inner, (train, val) in enumerate(split_ids(rest, N_INNER, 1 + outer)):
            labels = dict(train=train, val=val, held=held, test=test)
            with tempfile.TemporaryDirectory() as folder:
                built = build_fusion_set(study.values, study.schema, study.features, labels, 'N')
                built.write(Path(folder))
                splits = {name: read_split(folder, name, study.mode) for name in labels}
            fitted = fit_splits(splits['train'], splits['val'], seed=10 * outer + inner, **options)
            group.append(Member.of(fitted, splits['held']))
            everyone.append(Member.of(fitted, splits['test']))
        groups.append(group)
    return groups, everyone
