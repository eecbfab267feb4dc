"""The schema of clinical variables: what a user declares in YAML.

schema YAML -> Schema
"""

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import yaml

from mammo.errors import UserError
from mammo.records.fusion_set import MAMMOGRAMS, TUMOR_SIDE
from mammo.records.ids import clean

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
        need(whole, f'{place}: needs keys "patient_id" and "variables", see configs/clinical/example.yaml')
        odd = [key for key in content if key not in ('patient_id', 'missing', 'variables')]
        need(not odd, f'{place}: keys {odd} are unknown; there are patient_id, missing and variables')
        raw = [{'missing': content.get('missing', ['', 'NA']), **v} for v in listed]
        variables = tuple(_variable(v, f'{place}: variable {i} {v.get("name")!r}') for i, v in enumerate(raw))
        twice = repeated(v.name for v in variables) + repeated(v.column for v in variables)
        need(not twice, f'{place}: names or columns {twice} are declared more than once; keep one')
        return cls(str(content['patient_id']), variables)


def read_schema(path: str | os.PathLike) -> Schema:
    """Read and validate a schema file."""
    try:
        return Schema.from_dict(yaml.load(Path(path).read_text(encoding='utf-8'), _Loader), str(path))
    except (OSError, yaml.YAMLError) as error:
        raise ClinicalError(f'{path}: not a readable YAML schema: {error}') from None


def need(ok: Any, message: str) -> None:
    """Raise ``ClinicalError`` with the message unless all is well."""
    if not ok:
        raise ClinicalError(message)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML takes the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Mapping of a node whose keys differ."""
        twice = repeated(str(self.construct_object(key, deep=True)) for key, _ in node.value)
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f'keys {twice} are there twice', node.start_mark
            )
        return super().construct_mapping(node, deep)


def _variable(raw: dict[str, Any], place: str) -> Variable:
    allowed, required = {field.name for field in fields(Variable)}, {'name', 'column', 'kind'}
    wrong = sorted(set(raw) - allowed | required - set(raw))
    need(not wrong, f'{place}: fields {wrong} are unknown or lacking; there are {sorted(allowed)}')
    names = [raw['name'], raw['column']]
    need(all(isinstance(n, str) for n in names), f'{place}: name and column are {names}; put text in quotes')
    ours = raw['name'] in (MAMMOGRAMS, TUMOR_SIDE) or re.search('; |=| missing$', raw['name'])
    need(not ours, f'{place}: this name means something else in a fusion set; choose another')
    listed = {key: raw.get(key) or [] for key in ('levels', 'missing', 'range')}
    need(all(isinstance(v, list | tuple) for v in listed.values()), f'{place}: {[*listed]} must be lists')
    truths = [c for codes in listed.values() for c in codes if isinstance(c, bool)]
    need(not truths, f'{place}: YAML reads bare yes, no, on, off as truth values {truths}; quote them')
    levels, missing = (tuple(map(canonical, listed[key])) for key in ('levels', 'missing'))
    need(not repeated(levels + missing), f'{place}: {repeated(levels + missing)} declared twice')
    kind, numbers = raw['kind'], tuple(x for x in listed['range'] if isinstance(x, int | float))
    need(kind in IMPUTATIONS, f'{place}: kind is {kind!r}, expected one of {sorted(IMPUTATIONS)}')
    impute = raw.get('impute') or IMPUTATIONS[kind][0]
    need(impute in IMPUTATIONS[kind], f'{place}: impute is {impute!r}, {kind} allows {IMPUTATIONS[kind]}')
    if kind == 'continuous':
        complete = len(numbers) == 2 and numbers[0] < numbers[1] and raw.get('unit') and not levels
        need(
            complete,
            f'{place}: continuous needs unit and range [low, high] (it has {listed["range"]}), and no levels',
        )
    else:
        complete = (len(levels) == 2 or (len(levels) > 2 and kind != 'binary')) and not listed['range']
        need(complete, f'{place}: {kind} needs levels (2 if binary, else 2 or more), and no range')
    return Variable(**{**raw, 'levels': levels, 'missing': missing, 'range': numbers, 'impute': impute})


def canonical(value: Any) -> str:
    """Text without surrounding blanks; 3, 3.0 and '3.0' are all '3' (a column with gaps turns to floats)."""
    return re.sub(r'^([+-]?[0-9]+)\.0*$', r'\1', clean(unicodedata.normalize('NFC', str(value))))


def repeated(values: Any) -> list[str]:
    """The first of the values that are there more than once."""
    return [value for value, count in Counter(values).items() if count > 1][:5]
