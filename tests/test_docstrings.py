"""The examples in docstrings hold."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ('dataset', 'mammo', 'models')
FILES = [ROOT / 'mlp.py', *(file for package in PACKAGES for file in sorted((ROOT / package).rglob('*.py')))]
NAMES = [
    '.'.join(file.relative_to(ROOT).with_suffix('').parts)
    for file in FILES
    if '>>> ' in file.read_text(encoding='utf-8')
]


@pytest.mark.parametrize(
    'name', [name for name in NAMES if name != 'mammo.inference.predictor']
)  # needs a bundle
def test_examples_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
