"""Clinical variables of one patient, and the fused models of a bundle.

clinical.json, safetensors, values by name, features (members, tasks) -> logits (members,)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

import mlp
from mammo.fusion.clinical import ClinicalEncoder, ClinicalError, Schema, Variable, check_table
from mammo.inference.exam import ExamError
from mammo.records.fusion_set import BLOCKS

UNKNOWN = ('', 'unknown')  # besides None and the codes of the schema
Values = Mapping[str, str | float | None]


class Fusion:
    """Fused models with the encoders that each learned with its patients."""

    def __init__(self, content: dict[str, Any], weights: list[dict[str, Tensor]]) -> None:
        self.model, self.members = content['model'], content['members']
        self.label = self.members[0]['label']
        self.encoders = [
            ClinicalEncoder.from_dict(m['encoding']['x_preope']['encoder']) for m in self.members
        ]
        self.schema: Schema = self.encoders[0].schema
        self.checkpoints = [_checkpoint(self.model, tensors) for tensors in weights]

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
            raise ExamError('CLINICAL_NAME', f'no clinical variable {", ".join(odd)}; there are {known}')
        given = {by_name[name.lower()]: _text(value) for name, value in values.items()}
        if len(given) < len(values):
            raise ExamError('CLINICAL_NAME', f'a clinical variable is given twice: {", ".join(values)}')
        parsed = {v.name: _parsed(v, text) for v, text in given.items() if not _unknown(v, text)}
        problems = [found for found in parsed.values() if isinstance(found, str)]
        if problems:
            raise ExamError('CLINICAL_VALUE', '; '.join(problems))
        return pd.DataFrame([parsed], columns=[v.name for v in self.schema.variables], dtype=float)

    def logits(self, clinical: pd.DataFrame, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Row of ``check``, raw outputs (members, tasks) of the image models -> logits (members,)."""
        rows = zip(self.members, self.encoders, self.checkpoints, features, strict=True)
        return np.array([_logit(inputs, encoder.transform(clinical), checkpoint, own, clinical)
                         for inputs, encoder, checkpoint, own in rows])  # fmt: skip


def _logit(
    inputs: dict[str, Any], encoded: NDArray, checkpoint: dict[str, Any], own: NDArray, clinical: pd.DataFrame
) -> float:
    """One member; columns in the order of mammo.records.fusion_set.read_split."""
    blocks = dict(x_preope=encoded, feat_5=own[None])
    parts = [blocks[name] for name in BLOCKS[inputs['mode']]]
    masks = inputs['columns'][sum(part.shape[1] for part in parts) :]  # the images are there
    absent = [bool(clinical.isna().iloc[0].get(name.removesuffix(' missing'), False)) for name in masks]
    parts.append(np.array([absent], dtype=np.float32))
    return float(mlp.predict(checkpoint, np.hstack(parts).astype(np.float32))[0])


def _checkpoint(model: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Tensors of the file -> what mlp.predict takes."""
    state = {k.removeprefix('state_dict.'): v for k, v in tensors.items() if k.startswith('state_dict.')}
    return dict(model=model, mean=tensors['mean'], scale=tensors['scale'], state_dict=state)


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
        return f'{v.name} is {text!r}, expected {low_high or "one of " + ", ".join(v.levels)}, or unknown'
