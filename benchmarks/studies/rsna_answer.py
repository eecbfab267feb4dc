"""What a study ends with: a bundle of the best network, and where a network looks, with telling breasts.

runs of claim 2 -> WORK/answer/{bundle, maps, report}
"""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.studies.steps import Step, step

BEST = 'standardised_pooling'  # of the networks, by cancer
ATTENDING = 'mean_token_transformer'  # the best of those whose neck attends
MEMBER = '0/0'
SUBGROUPS = ('age', 'density', 'cohort')


def answer_steps(work: Path, necks: Path) -> Iterator[Step]:
    """Of the first seed; attention of one fold's network on the women whom it has not seen."""
    out, best, attending = work / 'answer', necks / f'{BEST}_seed0', necks / f'{ATTENDING}_seed0'
    if (best / 'report/report.json').is_file():
        bundle = ['--cv', best, '--confidence', 0.95, '--out', out / 'bundle']
        yield step('tools/make_bundle.py', *bundle, done=out / 'bundle/manifest.json')
    if not (attending / 'report/report.json').is_file():
        return
    checkpoint = json.loads((attending / 'cross_validate.json').read_text())['folds'][MEMBER]['checkpoint']
    network = [attending / 'config.py', attending / MEMBER / checkpoint, '--work-dir', out / 'maps_log']
    tested = ['--ann-file', work / 'folds' / MEMBER / 'test.json', '--out-dir', out / 'maps']
    yield step('tools/attention_maps.py', *network, *tested, done=out / 'maps/gallery.html')
    scores = ['--pred', f'{ATTENDING}={attending / MEMBER / "predictions_test.json"}', '--task', 'cancer']
    how = ['--unit', 'breast', '--gallery', out / 'maps', '--out-dir', out / 'report']
    yield step('tools/evaluate.py', *scores, *how, done=out / 'report/report.html')
