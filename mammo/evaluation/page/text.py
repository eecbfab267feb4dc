"""Numbers and sentences of the page, in the same words and signs everywhere.

estimates, models -> text
"""

from typing import Any

from markupsafe import Markup

from mammo.evaluation.page.bars import chosen

MINUS = '\u2212'
NARROW = '\u202f'  # space before %


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """With a true minus sign; a dash for none."""
    if value is None:
        return '\u2014'
    return f'{value:{"+" if signed else ""}.{digits}f}'.replace('-', MINUS)


def percent(value: float) -> str:
    """Whole per cent."""
    return f'{100 * value:.0f}{NARROW}%'


def estimate_html(estimate: dict[str, Any], as_percent: bool = False, signed: bool = False) -> Markup:
    """The value, and below it the interval, or the reason why there is none."""
    if estimate['value'] is None:
        return Markup('none <small>{}</small>').format(estimate['reason'])
    digits, factor, unit = (1, 100, f'{NARROW}%') if as_percent else (3, 1, '')
    value, low, high = (
        None if estimate[key] is None else number(estimate[key] * factor, digits, signed)
        for key in ('value', 'ci_low', 'ci_high')
    )
    reason = str(estimate.get('reason', 'no interval')).removeprefix('no interval: ')
    below = reason if low is None else Markup('<span>{} to {}</span>').format(low, high)
    return Markup('<b>{}{}</b> <small>{}</small>').format(value, unit, below)


def p_text(p: float | None) -> str:
    """A p value as journals print it."""
    if p is None:
        return '\u2014'
    return '< 0.001' if p < 0.001 else f'{p:.3f}'


def lead(name: str, model: dict[str, Any]) -> Markup:
    """What a model does, in two sentences."""
    return Markup('<b>{}</b>{} {}').format(name, _ranking(model), _use(model))


def _ranking(model: dict[str, Any]) -> str:
    auc, events = model['roc_auc'], model['n_events']
    if auc['value'] is None:
        return f': {auc["reason"]}.'
    rest = model['n_patients'] - events
    area = f'ROC AUC {number(auc["value"], 2)}'
    if auc['ci_low'] is None:
        return f' ranks {events} patients with the event against {rest} without it: {area}, no interval.'
    area += f', 95{NARROW}% interval {number(auc["ci_low"], 2)} to {number(auc["ci_high"], 2)}'
    if auc['ci_low'] > 0.5:
        return f' tells {events} patients with the event from {rest} without it better than chance ({area}).'
    if auc['ci_high'] < 0.5:
        return (
            f' ranks {events} patients with the event below {rest} without it, the wrong way round ({area}).'
        )
    return (
        f' was not shown to tell {events} patients with the event from {rest} without it '
        f'better than chance ({area}).'
    )


def _use(model: dict[str, Any]) -> str:
    at = chosen(model)
    if at['reduction_rate']['value'] is None or at['fnr']['value'] is None:
        return ''
    where = f'At the threshold chosen on {at["threshold_chosen_on"]} data'
    caution = (
        '' if at['threshold_chosen_on'] != 'test' else ' Chosen and judged on the same patients: optimistic.'
    )
    spared, missed = percent(at['reduction_rate']['value']), at['fnr']
    return (
        f'{where} it would spare {spared} of all patients the biopsy and miss '
        f'{missed["count"]} of {missed["total"]} events.{caution}'
    )
