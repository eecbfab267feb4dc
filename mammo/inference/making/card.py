"""The model card of a bundle, from what is recorded; what is not recorded is called unknown.

members, decisions, report.json, preprocess.json -> Markdown
"""

from collections.abc import Iterator
from typing import Any

from mammo.evaluation.estimates import in_words
from mammo.inference.bundle.decisions import FUSED, IMAGES, PATTERNS

UNKNOWN = 'unknown'
HEAD = """# Model card

Research use only. Not a medical device.

## Intended use
Research on the prediction of {label} from routine full-breast mammograms{fused}, for one patient at a
time, before surgery. The answer is a probability with the spread of {n} models. Not intended for diagnosis,
screening, or any decision about a patient; not intended for other images than those it was developed on.

## Data
"""
LIMITS = """
## Limits
- Numbers hold for patients like those above; for other hospitals, machines and populations performance is
  unknown.
- The spread of the models says how far they agree. It is no interval of a patient's risk.
- The models were fitted with values missing at random. Which values are missing may tell something, too; that
  is not known here.
- Attention maps show where the network looked, not why it decided.
- Ages, ethnicity, hospitals and equipment of the patients, as far as not listed: unknown.
- Licence of the weights and ethics approval: unknown.
"""


def model_card(trained: dict[str, Any], preprocess: dict[str, Any] | None) -> str:
    """See the module; ``trained`` is Trained as a dict."""
    fused = ' and clinical variables' if trained['fusions'] else ''
    text = HEAD.format(label=trained['label'], fused=fused, n=len(trained['members']))
    models = trained['report'].get('models', {})
    unit = trained['report'].get('settings', {}).get('unit', 'patient')
    lines = [*_data(models, trained['names'], preprocess, unit)]
    if trained['amp']:
        lines.append(
            '- scores of these patients: with mixed precision (--amp); answers are in full precision'
        )
    lines += ['', '## Metrics', *_metrics(models, unit), '']
    lines += ['## Subgroups', *_subgroups(models, unit), '', '## Decision threshold']
    lines += _decisions(trained['decisions'])
    return text + '\n'.join(lines) + '\n' + LIMITS


def _data(
    models: dict[str, Any], names: dict[str, str], preprocess: dict[str, Any] | None, unit: str
) -> Iterator[str]:
    entry = models.get(names.get('mammograms', ''), {})
    flow = entry.get('flow', {})
    patients, positive = (entry.get(key, UNKNOWN) for key in ('n_patients', 'n_events'))
    women = f' of {entry["n_women"]} women' if entry.get('n_women') else ''
    yield f'- {unit}s evaluated: {patients}{women}, of these positive: {positive}'
    yield f'- images used: {flow.get("images_used", UNKNOWN)} of {flow.get("images", UNKNOWN)}'
    made = 'unknown: no preprocess.json was given'
    if preprocess:
        made = f'{preprocess["spacing_mm"]} mm per pixel, raw detector images: {preprocess["for_processing"]}'
    yield f'- preprocessing: {made}'


def _metrics(models: dict[str, Any], unit: str) -> Iterator[str]:
    if not models:
        yield f'{UNKNOWN}: no report was given'
        return
    yield f'95 % intervals.\n\n| model | {unit}s | ROC AUC | PR AUC | Brier score | calibration slope |'
    yield '|---|---:|---|---|---|---|'
    for name, entry in models.items():
        slope = entry.get('calibration', {}).get('slope')
        cells = (in_words(v) for v in (*map(entry.get, ('roc_auc', 'pr_auc', 'brier')), slope))
        yield f'| {name} | {entry["n_patients"]} | {" | ".join(cells)} |'


def _subgroups(models: dict[str, Any], unit: str) -> Iterator[str]:
    rows = [(name, row) for name, entry in models.items() for row in entry.get('subgroups', [])]
    if not rows:
        yield f'{UNKNOWN}: the report has none'
        return
    yield f'| model | column | group | {unit}s | ROC AUC |\n|---|---|---|---:|---|'
    for name, row in rows:
        auc = in_words(row.get('roc_auc'))
        yield f'| {name} | {row["column"]} | {row["group"]} | {row["n_patients"]} | {auc} |'


def _decisions(decisions: dict[str, Any]) -> Iterator[str]:
    """A row per model, side and number of known variables."""
    if not decisions:
        yield f'{UNKNOWN}: no report was given, or the label is a number'
        return
    yield f'Sensitivity to keep: {decisions["target_sensitivity"]:.0%}; {_promise(decisions)}.'
    yield f'Chosen on {decisions["chosen_on"]}; probabilities are recalibrated there, for each kind of input.'
    if any(decisions.get(PATTERNS, {}).values()):
        yield 'Each set of known values has figures of its own; these are of all sets of a number.'
    yield ''
    yield '| model | side | known | patients (positive) | threshold | sensitivity | below it | answers |'
    yield '|---|---|---:|---|---|---|---|---|'
    for name in (IMAGES, FUSED):
        for side, cells in decisions.get(name, {}).items():
            for number, cell in enumerate(cells if isinstance(cells, list) else [cells]):
                if cell:
                    known = str(number) if isinstance(cells, list) else '-'
                    yield f'| {name} | {side} | {known} | {_cell(cell)} |'


def _promise(decisions: dict[str, Any]) -> str:
    if not decisions['confidence']:
        return 'the sensitivity of these patients; that of all others is as often lower as higher'
    return f'the true sensitivity is at least that with {decisions["confidence"]:.0%} confidence'


def _cell(cell: dict[str, Any]) -> str:
    breasts = ' breasts' if cell.get('unit') == 'breast' else ''
    patients = f'{cell["n_patients"]}{breasts} ({cell["n_events"]})'
    if cell['threshold'] is None:
        return f'{patients} | {cell.get("reason", UNKNOWN)} | | | '
    figures = cell.get('achieved') or cell.get('tested') or {}
    texts = [in_words(figures.get(key)) for key in ('sensitivity', 'reduction_rate')]
    answers = 'yes' if cell.get('better', True) else 'no: the images alone are as good'
    return f'{patients} | {cell["threshold"]:.4g} | {texts[0]} | {texts[1]} | {answers}'
