"""The form of a study file, and its reader: every wrong field is named.

study.yaml -> Study
"""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mammo.errors import UserError

Options = dict[str, str | int | float | bool | list[str | int | float]]


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid')


class Folds(_Section):
    """How tools/split.py splits."""

    outer: int = Field(5, ge=2)
    inner: int = Field(5, ge=2)
    stratify: list[str] | None = None  # without it the main task
    labelled_only: bool = True


class Variables(_Section):
    """Clinical variables for the fusion."""

    schema_file: Path = Field(alias='schema')  # such as configs/clinical/example.yaml
    table: Path


class Pretraining(_Section):
    """Stage a, on patients who are in no test."""

    data: Path
    config: Path


class Study(_Section):
    """The content of a study file; paths are relative to the folder one starts from, as on a command line."""

    out: Path
    data: Path
    config: Path
    labels: Path | None = None
    tasks: list[Annotated[str, Field(min_length=1)]] = []
    variables: Variables | None = None
    pretraining: Pretraining | None = None
    folds: Folds = Folds()  # type: ignore[call-arg]
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1)
    options: dict[str, Options] = {}  # further options of each tool, by its name

    @model_validator(mode='after')
    def _refuse_missing_files(self) -> 'Study':
        named = dict(data=self.data, config=self.config, labels=self.labels)
        if self.variables:
            named |= {'variables.schema': self.variables.schema_file, 'variables.table': self.variables.table}
        if self.pretraining:
            named |= {
                'pretraining.data': self.pretraining.data,
                'pretraining.config': self.pretraining.config,
            }
        missing = [
            f'{name}: {path} does not exist' for name, path in named.items() if path and not path.exists()
        ]
        if missing:
            raise ValueError('; '.join(missing))
        return self


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        UserError: it is no YAML, or fields are wrong; all of them are named.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{path}: no YAML: {error}') from None
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        lines = [f'{path}: {_told(problem)}' for problem in error.errors()]
        raise UserError('\n'.join(lines)) from None


def _told(problem: Any) -> str:
    """``folds.outer: Input should be greater than or equal to 2, found 1``."""
    place = '.'.join(str(part) for part in problem['loc'])
    input_text = '' if problem['type'] in ('missing', 'value_error') else f', found {problem["input"]!r}'
    return (
        f'{place}: {problem["msg"]}{input_text}'
        if place
        else str(problem['msg']).removeprefix('Value error, ')
    )
