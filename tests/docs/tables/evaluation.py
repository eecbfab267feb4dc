"""What the report computes: limits, sources and words that the code has, too."""

import json
import re

from facts import ROOT, default, plain, row, text, tracked

from mammo.evaluation.clinical_use.thresholds import positives_needed
from mammo.evaluation.report.notices import MAX_GAP, MIN_EVENTS

PAGE = 'docs/evaluation.md'
EVALUATE = 'tools/evaluate.py'
FORM = ('Formula:', 'Interval:', 'Source:', 'Do not trust it')  # of each estimate


def sources_of_code() -> str:
    """All literature of the page stands in the code that computes it."""
    code = plain(' '.join((ROOT / name).read_text() for name in tracked('mammo/*.py', 'tools/*.py')))
    places = set(re.findall(r'[A-Z][\w. ]+? \d+[A-Z]?:[a-z]?\d+', plain(text(PAGE))))
    missing = [place for place in places if place.split('. ')[-1].rpartition(' ')[2] not in code]
    assert not missing, f'sources that no code names: {missing}'
    return '# What the report computes'


def all_estimates() -> str:
    """Every estimate of report.json is on the page, and each part about one has the same four lines."""
    schema = json.loads(text('mammo/evaluation/report/report.schema.json'))
    names = set(re.findall(r'"(\w+)": \{"\$ref": "#/\$defs/estimate"\}', json.dumps(schema)))
    missing = [name for name in names if not re.search(rf'`[\w.]*\b{name}`', text(PAGE))]
    assert not missing, f'estimates of the report that the page does not name: {missing}'
    estimates = re.split(r'^### ', text(PAGE), flags=re.M)[1:]
    odd = [
        part.splitlines()[0]
        for part in estimates
        if tuple(re.findall(r'^- \*\*(.*?)\*\*', part, re.M)) != FORM
    ]
    assert not odd, f'not in the form {FORM}: {odd}'
    return '## Discrimination'


TABLE = {
    PAGE: [
        ('fewer than {} patients with, or without, the event', lambda: MIN_EVENTS),
        ('differs from the pooled AUC by more than {} the report warns', lambda: MAX_GAP),
        ('each group of at least {} patients', lambda: default(EVALUATE, '--min-group')),
        ('takes {} events', lambda: positives_needed(0.9, 0.95)),
        (
            '60 patients, 6 events expected: {:.0f} % of intervals',
            lambda: float(row(PAGE, 'roc_auc')[1].strip('(*)')),
        ),
        ('{}', sources_of_code),
        ('{}', all_estimates),
    ],
}
