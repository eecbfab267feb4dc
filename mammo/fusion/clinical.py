"""Clinical variables: a schema declared by the user, the check of a table against it, the encoders.

schema YAML, table -> (n, d) float32 without NaN, and (n, v) bool: which variables were missing
"""

import logging
import os
import re
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mammo.errors import UserError
from mammo.records.ids import check_look_alikes, clean, normal_id
from mammo.records.tables.numerals import decimal_points, doubtful_codes, number_or_nan
from mammo.records.tables.reading import read_table

logger = logging.getLogger(__name__)
IMPUTATIONS: dict[str, tuple[str, ...]] = {'continuous': ('median', 'mean')}  # the first is the default
IMPUTATIONS |= dict.fromkeys(('ordinal', 'nominal', 'binary'), ('most_frequent',))


class ClinicalError(UserError):
    """A schema or a clinical table that cannot be used; the message says where, what and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One clinical variable; ``levels`` are in rising order if ordinal, (no, yes) if binary."""

    name: str
    column: str
    kind: str
    unit: str = ''
    range: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    impute: str = ''


@dataclass(frozen=True)
class Schema:
    """The patient id column and the variables in the order of the encoded columns."""

    patient_id: str
    variables: tuple[Variable, ...]

    @classmethod
    def from_dict(cls, content: Any, place: str = 'schema') -> Self:
        """Build from parsed YAML; ``missing`` at the top is the default of every variable."""
        listed: Any = isinstance(content, dict) and content.get('patient_id') and content.get('variables')
        whole = listed and isinstance(listed, list | tuple) and all(isinstance(v, dict) for v in listed)
        _need(whole, f'{place}: needs keys "patient_id" and "variables", see configs/clinical/example.yaml')
        raw = [{'missing': content.get('missing', ['', 'NA']), **v} for v in listed]
        variables = tuple(_variable(v, f'{place}: variable {i} {v.get("name")!r}') for i, v in enumerate(raw))
        repeated = _repeated(v.name for v in variables) + _repeated(v.column for v in variables)
        _need(not repeated, f'{place}: names or columns {repeated} are declared more than once; keep one')
        return cls(str(content['patient_id']), variables)


def read_schema(path: str | os.PathLike) -> Schema:
    """Read and validate a schema file."""
    try:
        return Schema.from_dict(yaml.safe_load(Path(path).read_text(encoding='utf-8')), str(path))
    except (OSError, yaml.YAMLError) as error:
        raise ClinicalError(f'{path}: not a readable YAML schema: {error}') from None


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
    _need(not wrong, f'{place}: columns {wrong} are absent or repeated; the header has {header}')
    ids = [normal_id(cell, f'{place}: {schema.patient_id}') or '' for cell in table[schema.patient_id]]
    wrong = _repeated(ids) or [patient for patient in ids if not patient]
    _need(not wrong, f'{place}: {schema.patient_id!r} has empty or repeated ids {wrong}; one row per patient')
    check_look_alikes(ids, place, strict=strict)
    parsed = [_parse(v, table[v.column].set_axis(ids)) for v in schema.variables]
    problems = [problem for _, problem in parsed if problem]
    _need(not problems, f'{place}: ' + '\n'.join(problems))
    for v, (values, _) in zip(schema.variables, parsed, strict=True):
        if v.kind == 'continuous' and (doubt := doubtful_codes(values)):
            logger.warning('%s: column %s: %s', place, v.column, doubt)
    return pd.DataFrame({v.name: values for v, (values, _) in zip(schema.variables, parsed, strict=True)})


class ClinicalEncoder:
    """Imputes and one-hot encodes the variables of a schema; what it learns is one fill value each."""

    def __init__(self, schema: Schema) -> None:
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
        _need(not empty, f'{empty}: no value in {len(values)} train patients; remove it, or check the ids')
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


def _need(ok: Any, message: str) -> None:
    if not ok:
        raise ClinicalError(message)


def _variable(raw: dict[str, Any], place: str) -> Variable:
    allowed, required = {field.name for field in fields(Variable)}, {'name', 'column', 'kind'}
    wrong = sorted(set(raw) - allowed | required - set(raw))
    _need(not wrong, f'{place}: fields {wrong} are unknown or lacking; there are {sorted(allowed)}')
    listed = {key: raw.get(key) or [] for key in ('levels', 'missing', 'range')}
    _need(all(isinstance(v, list | tuple) for v in listed.values()), f'{place}: {[*listed]} must be lists')
    truths = [c for codes in listed.values() for c in codes if isinstance(c, bool)]
    _need(not truths, f'{place}: YAML reads bare yes, no, on, off as truth values {truths}; quote them')
    levels, missing = (tuple(map(_canonical, listed[key])) for key in ('levels', 'missing'))
    _need(not _repeated(levels + missing), f'{place}: {_repeated(levels + missing)} declared twice')
    kind, numbers = raw['kind'], tuple(x for x in listed['range'] if isinstance(x, int | float))
    _need(kind in IMPUTATIONS, f'{place}: kind is {kind!r}, expected one of {sorted(IMPUTATIONS)}')
    impute = raw.get('impute') or IMPUTATIONS[kind][0]
    _need(impute in IMPUTATIONS[kind], f'{place}: impute is {impute!r}, {kind} allows {IMPUTATIONS[kind]}')
    if kind == 'continuous':
        complete = len(numbers) == 2 and numbers[0] < numbers[1] and raw.get('unit') and not levels
        _need(complete, f'{place}: continuous needs unit and range [low, high], and no levels')
    else:
        complete = (len(levels) == 2 or (len(levels) > 2 and kind != 'binary')) and not listed['range']
        _need(complete, f'{place}: {kind} needs levels (2 if binary, else 2 or more), and no range')
    return Variable(**{**raw, 'levels': levels, 'missing': missing, 'range': numbers, 'impute': impute})


def _parse(v: Variable, cells: pd.Series) -> tuple[pd.Series, str]:
    """Text cells -> values, and a sentence with count, examples and remedy if cells are not allowed."""
    text = cells.map(_canonical)
    known = ~text.isin(v.missing)
    if v.kind == 'continuous':
        points = decimal_points(list(text.where(known, '')))
        values = pd.Series([number_or_nan(cell) for cell in points], index=text.index, dtype=float)
        bad = known & ~values.between(v.range[0], v.range[1])
    else:
        values = text.where(known).map({level: i for i, level in enumerate(v.levels)}).astype(float)
        bad = known & values.isna()
    if not bad.any():
        return values, ''
    examples = ', '.join(f'{patient}: {cell!r}' for patient, cell in cells[bad].head(3).items())
    expected = f'numbers in {list(v.range)} {v.unit}' if v.range else f'levels {list(v.levels)}'
    found = f'{v.name} (column {v.column!r}): {bad.sum()} of {len(cells)} values ({examples})'
    found += f' are neither {expected} nor missing codes {list(v.missing)}'
    return values, f'{found}; {_hint(v, values[bad], cells[bad])}'


def _hint(v: Variable, bad: pd.Series, cells: pd.Series) -> str:
    """Name the power of ten that would bring the bad numbers into range: a wrong unit is the usual cause."""
    if v.range and cells.str.contains(',').any():
        return 'write decimal points in the whole column, and no marks of thousands'
    for factor in (1000, 0.001, 10, 0.1, 100, 0.01):
        if v.range and (bad * factor).between(v.range[0], v.range[1]).all():
            return f'times {factor:g} they fit, so the unit may not be {v.unit}: convert the column'
    return 'correct the table, or declare them in the schema'


def _canonical(value: Any) -> str:
    """Text without surrounding blanks; 3, 3.0 and '3.0' are all '3' (a column with gaps turns to floats)."""
    return re.sub(r'^([+-]?[0-9]+)\.0*$', r'\1', clean(unicodedata.normalize('NFC', str(value))))


def _repeated(values: Any) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1][:5]
