"""What an answer and a refusal are on paper: the published schema, the table of codes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import mammo.inference
from mammo.inference.bundle.folder import write_bundle
from mammo.inference.making import bundle_files
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import Refusal
from mammo.preprocess.errors import Reason
from mammo.records.versions import VERSIONS
from tests.mammo.inference.conftest import Toy

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((Path(mammo.inference.__file__).parent / 'prediction.schema.json').read_text())
CHECKER = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
PAGE = (ROOT / 'docs/records.md').read_text()


def objects(schema: Any) -> Iterator[dict]:
    """Every schema of an object with named properties, however deep."""
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from objects(part)
    if isinstance(schema, dict) and 'properties' in schema and 'type' in schema:
        yield schema


def test_schema_is_one_and_of_this_version() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA['properties']['format_version']['const'] == VERSIONS['prediction']
    assert sum(part.get('additionalProperties') is False for part in objects(SCHEMA)) == 5


@pytest.mark.parametrize('side', ['L', None])
@pytest.mark.parametrize('clinical', [{}, dict(age='54'), dict(age=54, er='positive', histology='lobular')])
def test_every_answer_keeps_to_the_schema(
    predictor: Predictor, exam: list[Path], clinical: dict, side: str | None
) -> None:
    CHECKER.validate(json.loads(predictor.predict(exam, clinical, tumor_side=side).to_json()))


def test_answer_of_a_plain_bundle_keeps_to_the_schema(toy: Toy, png: Path, tmp_path: Path) -> None:
    one = dict(list(toy.trained.members.items())[:1])
    trained = toy.trained._replace(members=one, fusions=[], decisions={})
    write_bundle(tmp_path / 'one', bundle_files(trained, None))
    CHECKER.validate(json.loads(Predictor.load(tmp_path / 'one', 'cpu').predict(png).to_json()))


@pytest.mark.parametrize(
    ('place', 'value'),
    [
        (('inputs', 'time'), 'yesterday'),
        (('inputs', 'files', 0, 'sha256'), 'abc'),
        (('inputs', 'clinical', 'age'), 54),
        (('tasks', 'N', 'recalibrated'), 1.5),
        (('images', 0, 'laterality'), 'left'),
        (('model',), 'both'),
        (('note',), 'new'),
    ],
)
def test_a_wrong_answer_does_not(predictor: Predictor, exam: list[Path], place: tuple, value: Any) -> None:
    wrong = json.loads(predictor.predict(exam, dict(age='54')).to_json())
    *way, last = place
    part = wrong
    for key in way:
        part = part[key]
    part[last] = value
    with pytest.raises(jsonschema.ValidationError):
        CHECKER.validate(wrong)


def test_example_of_the_page_keeps_to_the_schema() -> None:
    example = re.search(r'```json\n(\{.*?"bundle_id".*?)```', PAGE, re.DOTALL)
    assert example is not None
    CHECKER.validate(json.loads(example[1]))


def test_page_has_the_whole_table_of_codes() -> None:
    rows = [f'| `{r}` | {r.meaning} | {r.remedy} | {r.status} |' for r in Refusal]
    assert re.findall(r'^\| `[A-Z_0-9]+` \| .*', PAGE, re.M) == rows


def test_every_reason_of_the_preprocessing_is_a_refusal() -> None:
    assert {str(reason) for reason in Reason} <= {str(refusal) for refusal in Refusal}
    assert all(name == refusal.value for name, refusal in Refusal.__members__.items())
    assert all(refusal.meaning and refusal.remedy.endswith(('.', 'help.')) for refusal in Refusal)
