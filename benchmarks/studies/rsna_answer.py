"""What a study ends with: a bundle of the best network, and where a network looks, with telling breasts.

runs of claim 2 -> WORK/answer/{bundle, maps_NECK, report_NECK}
"""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.studies.steps import Step, step

BEST = 'standardised_pooling_within_breast'  # of the networks, by cancer
ATTENDING = ('mean_token_transformer', 'transformer', 'transformer@1e-4', 'transformer_within_breast@1e-4')
MEMBER = '0/0'
SUBGROUPS = ('age', 'density', 'cohort')


def answer_steps(work: Path, necks: Path) -> Iterator[Step]:
    """Of the first seed; attention of one fold's network on the women whom it has not seen."""
    out, best = work / 'answer', necks / f'{BEST}_seed0'
    if (best / 'report/report.json').is_file():
        bundle = ['--cv', best, '--confidence', 0.95, '--out', out / 'bundle']
        yield step('tools/make_bundle.py', *bundle, done=out / 'bundle/manifest.json')
    for neck in ATTENDING:
        if (necks / f'{neck}_seed0/report/report.json').is_file():
            yield from attention_steps(work, necks / f'{neck}_seed0', neck)


def attention_steps(work: Path, run: Path, neck: str) -> Iterator[Step]:
    """Where the network of one fold looks in women whom it has not seen, and their report."""
    maps, report = (work / f'answer/{name}_{neck}' for name in ('maps', 'report'))
    checkpoint = json.loads((run / 'cross_validate.json').read_text())['folds'][MEMBER]['checkpoint']
    network = [run / 'config.py', run / MEMBER / checkpoint, '--work-dir', work / f'answer/log_{neck}']
    tested = ['--ann-file', work / 'folds' / MEMBER / 'test.json', '--out-dir', maps]
    yield step('tools/attention_maps.py', *network, *tested, done=maps / 'gallery.html')
    scores = ['--pred', f'{neck}={run / MEMBER / "predictions_test.json"}', '--task', 'cancer']
    how = ['--unit', 'breast', '--gallery', maps, '--out-dir', report]
    yield step('tools/evaluate.py', *scores, *how, done=report / 'report.html')
