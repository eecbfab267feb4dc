"""One input of preprocessing.

path, what a table says of it -> Job, with the names that records give it
"""

import json
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo.preprocess.errors import PreprocessError
from mammo.preprocess.privacy import digest
from mammo.records.storage.out_dir import signature_of


@dataclass(frozen=True)
class Job:
    """One input: where it is, what the table says of it, and why it cannot be used if that is known."""

    source: str  # the path relative to the input folder, or as the table has it
    path: Path
    fields: dict[str, Any] = field(default_factory=dict)  # patient_id, view, ... and clinic_vars
    is_png: bool = False
    error: PreprocessError | None = None
    row: int = 0  # of the table

    def name(self, key: bytes | None) -> str:
        """What records call the input: with a key, nothing of its path."""
        return f'input {self.id(key)}' if key else self.source

    def file_id(self, key: bytes | None) -> str:
        """The same for all rows that name one file."""
        return digest('file', unicodedata.normalize('NFC', self.source), key)

    def signature(self, key: bytes | None) -> list[int | str]:
        """Of the file and of what the table says of it: a run that goes on redoes what has another."""
        row = json.dumps(self.fields, sort_keys=True, default=str)
        return [*signature_of(self.path), *([digest('row', row, key)] if self.fields else [])]

    def id(self, key: bytes | None) -> str:
        """Name of the input in the journal and of its PNG; says nothing to who lacks the key."""
        return digest('input', f'{self.source}\0{self.row or ""}', key)
