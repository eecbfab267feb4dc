"""report.json keeps to its published schema, whatever the data are."""

import json
from pathlib import Path

import jsonschema
import pytest

import mammo.evaluation.report.build
from mammo.evaluation.report.build import FORMAT_VERSION
from tests.mammo.evaluation.report.test_build import QUICK, draw, patients, report

SCHEMA = json.loads((Path(mammo.evaluation.report.build.__file__).parent / 'report.schema.json').read_text())


def test_schema_is_one_and_of_this_version():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA['properties']['format_version']['const'] == FORMAT_VERSION


def reports():
    development = dict(A=draw(ids=[f'd{i}' for i in range(120)]))
    cohort = ['X', 'Y', 'Z'] * 40
    yield 'two models', (dict(A=draw(cohort=cohort), B=draw(seed=1)), development, QUICK)
    yield 'subgroups', (dict(A=draw(cohort=cohort)), None, QUICK._replace(subgroups=('cohort',)))
    yield 'cross-validation', (dict(A=draw(folds=['0', '1'] * 60)), None, QUICK)
    yield 'one class', (dict(A=patients([0.1, 0.2], [0, 0])), None, QUICK)
    yield 'no probabilities', (dict(A=patients([-1, 2, 3, 4], [0, 1, 0, 1])), None, QUICK)
    yield 'regression', (dict(A=patients([0.1, 0.3, 0.2, 0.9], [0.2, 0.3, 0.1, 0.7])), None, QUICK)
    missing = ['ER', ''] * 60
    yield 'missing inputs', (dict(A=draw(missing_inputs=missing)), None, QUICK)


@pytest.mark.parametrize(('name', 'arguments'), list(reports()))
def test_every_report_keeps_to_the_schema(name, arguments):
    jsonschema.validate(json.loads(json.dumps(report(*arguments))), SCHEMA)


def test_a_wrong_report_does_not():
    wrong = json.loads(json.dumps(report(dict(A=draw()))))
    wrong['models']['A']['roc_auc']['value'] = 'high'
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)
