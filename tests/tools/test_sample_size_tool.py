"""tools/sample_size.py as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools/sample_size.py'


def run(*arguments):
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True, check=False)


def test_development_prints_its_criteria_and_the_number():
    done = run('--event-rate', '0.174', '--auc', '0.89', '--r2', '0.288', '--parameters', '24')
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ['623', '662', '221', '662']


@pytest.mark.parametrize(('rate', 'message'), [('30', 'event_rate is 30'), ('0.3', 'ROC AUC 0.4')])
def test_impossible_designs_end_with_one_line(rate, message):
    done = run('--event-rate', rate, '--auc', '0.4')
    assert done.returncode == 2
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
