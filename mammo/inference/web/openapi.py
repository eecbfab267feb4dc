"""What programs may ask of the calculator, as /openapi.json tells them.

Predictor -> OpenAPI 3.1 of /api/*, with the schema of an answer
"""

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import mammo.inference
from mammo import __version__
from mammo.inference.exam.reading import MAX_IMAGES
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import Refusal
from mammo.inference.web.entry import CLINICAL, IMAGES
from mammo.inference.web.words import SLOTS

SCHEMA = Path(mammo.inference.__file__).parent / 'prediction.schema.json'
PLACE = '#/components/schemas/'
TEXT = dict(type='string')
FILE = dict(type='string', format='binary')


def request_body(predictor: Predictor) -> dict[str, Any]:
    """The fields of the form, as this bundle has them."""
    images = dict(type='array', items=FILE, maxItems=MAX_IMAGES, description='DICOM, PNG or JPEG of one exam')
    fields: dict[str, Any] = {IMAGES: images}
    words = dict(description='of a file that does not say its side and view')
    fields |= dict.fromkeys(SLOTS, FILE | words)
    fields['tumor_side'] = dict(enum=['', 'L', 'R'], description='empty: unknown')
    if predictor.preprocessed:
        fields['cropped_png'] = dict(enum=['yes'], description='PNG files are images of tools/preprocess.py')
    fields |= {CLINICAL + v['name']: _field(v) for v in predictor.schema}
    schema = dict(type='object', properties=fields, additionalProperties=False)
    return dict(required=True, content={'multipart/form-data': dict(schema=schema)})


def _field(v: dict[str, Any]) -> dict[str, Any]:
    """A clinical variable; empty is unknown."""
    if not v['range']:
        return dict(enum=['', *v['levels']], description=v['label'])
    low, high = v['range']
    return TEXT | dict(description=f'{v["label"]}: a number from {low:g} to {high:g} {v["unit"]}'.strip())


def responses() -> dict[int | str, dict[str, Any]]:
    """An answer, or a refusal."""
    kinds: dict[int | str, tuple[str, str]] = {
        200: ('the answer, prediction.json', 'prediction'),
        '4XX': ('a refusal', 'refusal'),
        '5XX': ('a refusal: disk full, queue full, error', 'refusal'),
    }
    return {
        status: dict(description=text, content={'application/json': dict(schema={'$ref': PLACE + name})})
        for status, (text, name) in kinds.items()
    }


def describe(app: FastAPI) -> None:
    """Let /openapi.json tell the routes that are for programs, with the schemas they use."""

    def content() -> dict[str, Any]:
        if not app.openapi_schema:
            title = 'Mammogram calculator'
            app.openapi_schema = get_openapi(title=title, version=__version__, routes=app.routes)
            app.openapi_schema['components'] = dict(schemas=_schemas())
        return app.openapi_schema

    app.openapi = content  # type: ignore[method-assign]


def _schemas() -> dict[str, Any]:
    answer = json.loads(SCHEMA.read_text().replace('#/$defs/', PLACE))
    properties = dict(reason=dict(enum=[*Refusal]), message=TEXT, remedy=TEXT)
    refusal = dict(type='object', properties=properties, required=list(properties))
    return answer.pop('$defs') | dict(prediction=answer, refusal=refusal)
