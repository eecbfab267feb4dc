"""Faults are put in, tried with the tests of their module, and counted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.mutation.faulty import Faults

SETTINGS = """
[tool.pytest.ini_options]
pythonpath = ['.']
[tool.mutmut]
source_paths = ['.']
[tool.mutation]
'sums.py' = ['test_sums.py']
"""
SUMS = """
import functools

@functools.cache
def larger(a, b):
    return a if a > b else b

def untested():
    return 'nobody asks'

def endless(n):
    while n > 0:
        n -= 1
    return n
"""
TESTS = """
import sums

def test_larger():
    assert sums.larger(1, 2) == sums.larger(2, 1) == 2

def test_endless():
    assert sums.endless(2) == 0
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {'pyproject.toml': SETTINGS, 'sums.py': SUMS, 'test_sums.py': TESTS}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_functions_with_a_decorator_get_faults_too(project: Path) -> None:
    faults = Faults(Path('sums.py'))
    changes = [faults.change(name) for name in faults.mutated.mutant_names]
    assert ['-    return a if a > b else b', '+    return a if a >= b else b'] in changes
    assert 'larger = functools.cache(larger)' in faults.mutated.code


def test_a_smaller_sample_is_part_of_a_larger_one(project: Path) -> None:
    faults = Faults(Path('sums.py'))
    few, more, every = (faults.sample(most, 0) for most in (2, 5, 99))
    assert len(few) == 2
    assert set(few) < set(more) < set(every) == set(faults.mutated.mutant_names)
    assert faults.sample(5, 1) != more


def run(project: Path) -> str:
    script = Path(__file__).with_name('run.py')
    done = subprocess.run(
        [sys.executable, script, '--jobs', '1'], cwd=project, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_each_fault_is_noticed_unnoticed_unreached_or_over_its_time(project: Path) -> None:
    text = run(project)
    faults = json.loads((project / 'mutants/sums.json').read_text())['faults'].values()
    became = {'\n'.join(fault['change']): fault['became'] for fault in faults}
    assert became['-    return a if a > b else b\n+    return a if a >= b else b'] == 'unnoticed'  # the same
    assert became['-    return a if a > b else b\n+    return a if (a > b) or True else b'] == 'noticed'
    assert became["-    return 'nobody asks'\n+    return 'XXnobody asksXX'"] == 'unreached'
    assert became['-        n -= 1\n+        n += 1'] == 'stopped'
    seen = sum(each in ('noticed', 'stopped') for each in became.values())
    assert f'| `sums.py` | {len(faults)} | {len(faults)} | {seen} | ' in text
    (project / 'test_sums.py').write_text(TESTS.replace('== 0', '== 0\n    assert sums.untested()'))
    run(project)
    again = json.loads((project / 'mutants/sums.json').read_text())['faults'].values()
    assert {fault['became'] for fault in again if 'nobody' in str(fault['change'])} == {'unnoticed'}
