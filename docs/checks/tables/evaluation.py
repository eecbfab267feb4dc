"""What the report computes: limits, sources and words that the code has, too."""

import re

from facts import ROOT, plain, text, tracked

from mammo.evaluation.report.notices import MAX_GAP, MIN_EVENTS

PAGE = 'docs/evaluation.md'
EVALUATE = 'tools/evaluate.py'


def sources_of_code() -> str:
    """All literature of the page stands in the code that computes it."""
    code = plain(' '.join((ROOT / name).read_text() for name in tracked('mammo/*.py', 'tools/*.py')))
    places = set(re.findall(r'[A-Z][\w. ]+? \d+[A-Z]?:[a-z]?\d+', plain(text(PAGE))))
    missing = [place for place in places if place.split('. ')[-1].rpartition(' ')[2] not in code]
    assert not missing, f'sources that no code names: {missing}'
    return '## Estimates'


TABLE = {
    PAGE: [
        ('With fewer than {} patients of either class', lambda: MIN_EVENTS),
        ('warns where they differ by more than {}', lambda: MAX_GAP),
        ('{}', sources_of_code),
    ],
}
