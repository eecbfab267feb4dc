"""Clinical variables of one patient, and the fused models of a bundle.

clinical.json, safetensors, values by name, features (members, tasks) -> logits (members,)
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.fusion.clinical import ClinicalEncoder, check_table
from mammo.fusion.masking import FLAG
from mammo.fusion.model import predict
from mammo.fusion.schema import ClinicalError, Schema, Variable
from mammo.inference.refusals import ExamError, Refusal
from mammo.records.fusion_set import BLOCKS, TUMOR_SIDE
from mammo.records.tables.numerals import decimal_points, remedy

UNKNOWN = ('', 'unknown')  # besides None and the codes of the schema
Values = Mapping[str, str | float | None]


class Fusion:
    """Fused models with the encoders that each learned with its patients."""

    def __init__(self, content: dict[str, Any], weights: list[dict[str, NDArray]]) -> None:
        self.model, self.members = content['model'], content['members']
        self.label = self.members[0]['label']
        self.schema = Schema.from_dict(self._encodings[0]['schema'])
        self.fitted = [_fitted(self.model, arrays) for arrays in weights]

    @property
    def _encodings(self) -> list[dict[str, Any]]:
        return [member['encoding']['x_preope']['encoder'] for member in self.members]

    @cached_property
    def encoders(self) -> list[ClinicalEncoder]:
        """Made for the first answer that has clinical values."""
        return [ClinicalEncoder.from_dict(encoding) for encoding in self._encodings]

    def describe(self) -> list[dict[str, Any]]:
        """The variables as a form needs them."""
        fields = ('name', 'column', 'kind', 'unit', 'range', 'levels')
        texts = [{field: getattr(v, field) for field in fields} for v in self.schema.variables]
        return [dict(label=text['name'].replace('_', ' '), **text) for text in texts]

    def check(self, values: Values) -> pd.DataFrame:
        """Values by name or column of the schema -> frame of one row, NaN where unknown.

        Raises:
            ExamError: CLINICAL_NAME or CLINICAL_VALUE; all that is wrong is told at once.
        """
        by_name = {key.lower(): v for v in self.schema.variables for key in (v.column, v.name)}
        odd = [name for name in values if name.lower() not in by_name]
        if odd:
            known = ', '.join(v.name for v in self.schema.variables)
            raise ExamError(
                Refusal.CLINICAL_NAME, f'no clinical variable {", ".join(odd)}; there are {known}'
            )
        given = {by_name[name.lower()]: _text(value) for name, value in values.items()}
        if len(given) < len(values):
            raise ExamError(Refusal.CLINICAL_NAME, f'a clinical variable is given twice: {", ".join(values)}')
        parsed = {v.name: _parsed(v, text) for v, text in given.items() if not _unknown(v, text)}
        problems = [result for result in parsed.values() if isinstance(result, str)]
        if problems:
            raise ExamError(Refusal.CLINICAL_VALUE, '; '.join(problems))
        return pd.DataFrame([parsed], columns=[v.name for v in self.schema.variables], dtype=float)

    def named(self, values: Values) -> dict[str, str]:
        """Values as given, by name of the variable."""
        names = {key.lower(): v.name for v in self.schema.variables for key in (v.column, v.name)}
        return {names[name.lower()]: _text(value) for name, value in values.items()}

    def logits(
        self, clinical: pd.DataFrame, features: NDArray[np.float32], *, side_known: bool
    ) -> NDArray[np.float64]:
        """Row of ``check``, raw outputs (members, tasks) of the image models -> logits (members,)."""
        unknown = {str(name) for name in clinical if clinical[name].isna().all()}
        unknown |= set() if side_known else {TUMOR_SIDE}
        rows = zip(self.members, self.encoders, self.fitted, features, strict=True)
        return np.array([
            float(predict(fitted, table(inputs, encoder.transform(clinical), raw, unknown))[0])
            for inputs, encoder, fitted, raw in rows
        ])  # fmt: skip


def table(
    inputs: dict[str, Any], encoded: NDArray[np.float32], raw: NDArray[np.float32], unknown: set[str]
) -> NDArray[np.float32]:
    """One patient (1, d), columns in the order of mammo.records.fusion_set.read_split."""
    about = inputs['encoding']['feat_5'] or {}
    center, scale = (np.array(about.get(key, value)) for key, value in (('center', 0), ('scale', 1)))
    blocks = dict(x_preope=encoded, feat_5=(raw[None].astype(np.float64) - center) / scale)
    parts = [blocks[name] for name in BLOCKS[inputs['mode']]]
    flags = inputs['columns'][sum(part.shape[1] for part in parts) :]  # the images are there
    parts.append(np.array([[name.removesuffix(FLAG) in unknown for name in flags]], np.float32))
    return np.hstack(parts).astype(np.float32)


def _fitted(model: str, arrays: dict[str, NDArray]) -> dict[str, Any]:
    """Arrays of the file -> what mammo.fusion.model.predict takes."""
    state = {k.removeprefix('state_dict.'): v for k, v in arrays.items() if k.startswith('state_dict.')}
    return dict(model=model, mean=arrays['mean'], scale=arrays['scale'], state_dict=state)


def _text(value: str | float | None) -> str:
    return '' if value is None else str(value).strip()


def _unknown(v: Variable, text: str) -> bool:
    """Whether nothing is said; a schema may have a level called unknown."""
    return text.lower() in UNKNOWN and text not in v.levels


def _parsed(v: Variable, text: str) -> float | str:
    """A value as the schema counts it, or a sentence that says what is wrong."""
    table = pd.DataFrame({'patient': ['1'], v.column: [text]})
    try:
        return float(check_table(table, Schema('patient', (v,)))[v.name].iloc[0])
    except ClinicalError:
        low_high = f'a number from {v.range[0]:g} to {v.range[1]:g} {v.unit}' if v.range else ''
        marks = remedy(decimal_points([text])[0]) if v.range else ''
        expected = low_high or f'one of {", ".join(v.levels)}'
        return f'{v.name} is {text!r}, expected {expected}, or unknown{marks and f"; {marks}"}'
