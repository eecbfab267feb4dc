"""docs/checks/differences.py: what it takes from a file."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = runpy.run_path(str(ROOT / 'docs/checks/differences.py'))
TEXT = '''
"""One line.

    NOTE[DIFF]: a paragraph that goes on
    in a second line.

    No more.
"""
# NOTE[DIFF]: a comment that goes on
# in a second line
x = 1  # NOTE[DIFF]: at the end of a line
# something else
'''.replace('"""One', 'def f():\n    """One')


def test_a_note_ends_with_its_paragraph_or_comment() -> None:
    assert NAMES['notes'](TEXT) == [
        'a paragraph that goes on in a second line.',
        'a comment that goes on in a second line',
        'at the end of a line',
    ]


@pytest.mark.skipif(not (ROOT / '.git').exists(), reason='a copy without history')
def test_the_page_has_every_note_of_the_code() -> None:
    assert NAMES['generated']() in (ROOT / 'docs/differences.md').read_text()
