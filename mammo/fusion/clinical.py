"""Clinical variables: the check of a table against the declared schema, and the encoders.

schema, table -> (n, d) float32 without NaN, and (n, v) bool: which variables were missing
"""

import logging
import os
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import pandas as pd

from mammo.fusion.schema import Schema, Variable, canonical, need, repeated
from mammo.records.ids import check_look_alikes, normal_id
from mammo.records.tables.numerals import CODES, decimal_points, doubtful_codes, number_or_nan
from mammo.records.tables.reading import read_table

logger = logging.getLogger(__name__)


def read_clinical(path: str | os.PathLike, schema: Schema, *, strict: bool = False) -> pd.DataFrame:
    """Read and validate a clinical table; see :func:`check_table`."""
    columns = [schema.patient_id, *(v.column for v in schema.variables)]
    return check_table(read_table(path, kept=columns), schema, str(path), strict=strict)


def check_table(
    table: pd.DataFrame, schema: Schema, place: str = 'table', *, strict: bool = False
) -> pd.DataFrame:
    """Validate text cells -> float frame: patient id x variable, levels as their index, NaN if missing.

    Args:
        strict: refuse patient ids that look alike, of which there is a warning else.

    Raises:
        ClinicalError: columns, ids or values are not those of the schema.
    """
    header, wanted = list(table.columns), [schema.patient_id, *(v.column for v in schema.variables)]
    wrong = [column for column in wanted if header.count(column) != 1]
    need(not wrong, f'{place}: columns {wrong} are absent or repeated; the header has {header}')
    ids = [normal_id(cell, f'{place}: {schema.patient_id}') or '' for cell in table[schema.patient_id]]
    wrong = repeated(ids) or [patient for patient in ids if not patient]
    need(not wrong, f'{place}: {schema.patient_id!r} has empty or repeated ids {wrong}; one row per patient')
    check_look_alikes(ids, place, strict=strict)
    parsed = [_parse(v, table[v.column].set_axis(ids)) for v in schema.variables]
    problems = [problem for _, problem in parsed if problem]
    need(not problems, f'{place}: ' + '\n'.join(problems))
    for v, (values, _) in zip(schema.variables, parsed, strict=True):
        if v.kind == 'continuous' and (doubt := doubtful_codes(values)):
            logger.warning('%s: column %s: %s', place, v.column, doubt)
    return pd.DataFrame({v.name: values for v, (values, _) in zip(schema.variables, parsed, strict=True)})


class ClinicalEncoder:
    """Imputes and one-hot encodes the variables of a schema; what it learns is one fill value each."""

    def __init__(self, schema: Schema) -> None:
        from sklearn.compose import ColumnTransformer  # late: takes a second; not all answers encode
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        self.schema = schema
        self.columns, steps = [], []  # one column per level if nominal, else one per variable
        for i, v in enumerate(schema.variables):
            nominal = v.kind == 'nominal'
            one_hot = OneHotEncoder(categories=[list(range(len(v.levels)))], sparse_output=False)
            chain = make_pipeline(SimpleImputer(strategy=v.impute), one_hot if nominal else 'passthrough')
            steps.append((f'v{i}', chain, [v.name]))
            self.columns += [f'{v.name}={level}' for level in v.levels] if nominal else [v.name]
        self.transformer = ColumnTransformer(steps)

    def fit(self, values: pd.DataFrame) -> Self:
        """Learn the fill values from the train rows of ``check_table``'s frame."""
        empty = [name for name in values if values[name].isna().all()]
        need(not empty, f'{empty}: no value in {len(values)} train patients; remove it, or check the ids')
        self.transformer.fit(values)
        return self

    def transform(self, values: pd.DataFrame) -> np.ndarray:
        """Frame (n, v) -> (n, d) float32 without NaN."""
        return np.asarray(self.transformer.transform(values), dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Schema and fill values as plain data for JSON."""
        chains = self.transformer.named_transformers_.values()  # in the order of the variables
        return dict(schema=asdict(self.schema), fill=[float(chain[0].statistics_[0]) for chain in chains])

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Rebuild a fitted encoder: one row of fill values teaches exactly those values."""
        schema = Schema.from_dict(content['schema'])
        return cls(schema).fit(pd.DataFrame([content['fill']], columns=[v.name for v in schema.variables]))


def _parse(v: Variable, cells: pd.Series) -> tuple[pd.Series, str]:
    """Text cells -> values, and a sentence with count, examples and remedy if cells are not allowed."""
    text = cells.map(canonical)
    is_known = ~text.isin(v.missing)
    if v.kind == 'continuous':
        points = decimal_points(list(text.where(is_known, '')))
        values = pd.Series([number_or_nan(cell) for cell in points], index=text.index, dtype=float)
        bad = is_known & ~values.between(v.range[0], v.range[1])
    else:
        values = text.where(is_known).map({level: i for i, level in enumerate(v.levels)}).astype(float)
        bad = is_known & values.isna()
    if not bad.any():
        return values, ''
    examples = ', '.join(f'{patient}: {cell!r}' for patient, cell in cells[bad].head(3).items())
    expected = f'numbers in {list(v.range)} {v.unit}' if v.range else f'levels {list(v.levels)}'
    problem = f'{v.name} (column {v.column!r}): {bad.sum()} of {len(cells)} values ({examples})'
    problem += f' are neither {expected} nor missing codes {list(v.missing)}'
    return values, f'{problem}; {_hint(v, values[bad], cells[bad])}'


def _hint(v: Variable, bad: pd.Series, cells: pd.Series) -> str:
    """Name the power of ten that would bring the bad numbers into range: a wrong unit is the usual cause."""
    if v.range and cells.str.contains(',').any():
        return 'write decimal points in the whole column, and no marks of thousands'
    if bad.isin(CODES).all():
        return 'if that means unknown, declare it as a missing code in the schema'
    for factor in (1000, 0.001, 10, 0.1, 100, 0.01):
        if v.range and (bad * factor).between(v.range[0], v.range[1]).all():
            return f'times {factor:g} they fit, so the unit may not be {v.unit}: convert the column'
    return 'correct the table, or declare them in the schema'
