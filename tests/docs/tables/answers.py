"""Bundle, calculator, records: limits, files, fields."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from facts import default, row, word

from mammo.evaluation.cells import MIN_CLASS
from mammo.evaluation.clinical_use.thresholds import positives_needed
from mammo.inference.making.site import MIN_EVENTS
from mammo.inference.making.sources import SENSITIVITY
from mammo.inference.web.app import Limits
from mammo.inference.web.guard import GRACE_S, MIN_BYTES_PER_S
from mammo.inference.web.queue import KEEP_S, LEFT_S
from mammo.inference.web.server import MAX_CONNECTIONS
from mammo.records.features import Features, write_features
from mammo.records.fusion_set import BLOCKS, UNSIDED
from mammo.records.predictions import TASK_FIELDS, TEXT_FIELDS
from mammo.records.versions import ALSO_READ, VERSIONS

BUNDLE, RECORDS = 'docs/bundle_and_calculator.md', 'docs/records.md'
SERVE = 'tools/serve.py'


def names(*fields: str) -> str:
    return ', '.join(f'`{field}`' for field in fields)


def keys_of_features() -> str:
    """What features.npz holds, which the row must name."""
    table = pd.DataFrame([[0.0]], ['p'], ['N'])
    about = dict(columns=['N'], stage='head', aggregate='mean')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'features.npz'
        features = Features(table, table, pd.Series([True], ['p']), about)
        write_features(path, features, np.zeros((1, 1), np.float32), [dict(img_name='a', patient_id='p')])
        with np.load(path) as file:
            return _all_named('features', *file)


def fusion_files() -> str:
    """Arrays of a fusion set, which the row must name."""
    return _all_named('fusion set', *(
        f'{{split}}_{name}.npy' for name in ('fortnr', 'y', *BLOCKS['clinical-mammo'], UNSIDED, 'missing')
    ))  # fmt: skip


def _all_named(record: str, *fields: str) -> str:
    said = row(RECORDS, record)[2]
    missing = [field for field in fields if f'`{field}`' not in said]
    assert not missing, f'the row of {record} does not name {missing}'
    return f'| {record} |'


def all_versions_are_told() -> str:
    """Bundles of an older format are refused, unless they are read."""
    oldest = min(VERSIONS['bundle'], *ALSO_READ['bundle'])
    return str(oldest - 1)


TABLE = {
    BUNDLE: [
        ('a web calculator at http://{}:{}:', lambda: (default(SERVE, '--host'), default(SERVE, '--port'))),
        ('the answer stays there for {} minutes', lambda: word(KEEP_S // 60)),
        ('whose page was closed is dropped after {}', lambda: {60: 'a minute'}[LEFT_S]),
        ('must arrive at {} kB per second after the first {} s', lambda: (MIN_BYTES_PER_S // 1000, GRACE_S)),
        ('An address may have {} exams under way and {} connections', lambda: (
            Limits().per_address, MAX_CONNECTIONS)),
        ('(at least {0} with and {0} without the event; below {1} events it warns', lambda: (
            MIN_CLASS, MIN_EVENTS)),
        ('(exact; {} positives are needed for {})', lambda: (positives_needed(0.9, 0.95), SENSITIVITY)),
        ('Bundles of format {} are refused', all_versions_are_told),
    ],
    SERVE: [
        ('Answers stay in memory for {} minutes', lambda: word(KEEP_S // 60)),
        ('pages at http://{}:{},', lambda: (default(SERVE, '--host'), default(SERVE, '--port'))),
    ],
    RECORDS: [
        ('{}', keys_of_features),
        ('{}', fusion_files),
        ('"format_version": {}, "notice"', lambda: VERSIONS['prediction']),
        ('{{"format_version": {}, "records": [{{{}, "tasks"', lambda: (
            VERSIONS['predictions'], ', '.join(f'"{name}"' for name in TEXT_FIELDS))),
        ('"tasks": {{"N": {{{}}}}}', lambda: ', '.join(f'"{name}"' for name in TASK_FIELDS)),
        ('with columns {}, ...', lambda: names(*(f'N_{name}' for name in TASK_FIELDS))),
    ],
}  # fmt: skip
