"""What a reader must know before the numbers: few events, pooled models, ranking the wrong way round.

report -> sentences
"""

from typing import Any

from mammo.evaluation.entry.missingness import telling

MIN_EVENTS = 20  # of each class: below, no method keeps its 95 % (see docs/evaluation.md)
MAX_GAP = 0.02  # of the pooled and the within-fold AUC that needs no word


def notices(report: dict[str, Any]) -> list[str]:
    """Sentences for the banner, the gravest first."""
    models = report['models']
    gravest = [say(*model) for say in (_few, _no_probs) for model in models.items()]
    pairs = [_pair(pair, models) for pair in report['comparisons']]
    others = [say(*model) for say in (_women, _wrong_way, _missing, _gap) for model in models.items()]
    sentences = [*gravest, _untold(report), *pairs, *others, _conditional(next(iter(models.values())))]
    return list(filter(None, dict.fromkeys(sentences)))


def _few(name: str, model: dict[str, Any]) -> str:
    if model['n_events'] is None:
        n = model['n_patients']
        few = f'{name}: only {n} patients. With fewer than {MIN_EVENTS}, intervals are not reliable.'
        return few if n < MIN_EVENTS else ''
    n_rare, side = min((model['n_events'], 'with'), (model['n_patients'] - model['n_events'], 'without'))
    if n_rare >= MIN_EVENTS:
        return ''
    return (
        f'{name}: only {n_rare} patients {side} the event. With fewer than {MIN_EVENTS}, intervals and p '
        'values are not reliable, and none of these figures should guide a decision.'
    )


def _no_probs(name: str, model: dict[str, Any]) -> str:
    if model.get('net_benefit') != []:
        return ''
    return (
        f'{name}: scores outside 0 to 1 are no probabilities (logits, or per cent?). Calibration, Brier '
        'score and net benefit are left out.'
    )


def _untold(report: dict[str, Any]) -> str:
    """What was asked for, and is not there."""
    subgroups = ['subgroups'] * bool(report['settings']['subgroups'])
    promise = ['a confidence of the sensitivity'] * bool(report['settings']['confidence'])
    lacking = subgroups + promise + ['differences between models'] * (len(report['models']) > 1)
    if report['settings']['kind'] == 'binary' or not lacking:
        return ''
    return f'Task {report["task"]} is a value, not a class: {" and ".join(lacking)} are not computed.'


def _pair(pair: dict[str, Any], models: dict[str, Any]) -> str:
    a, b, alone = pair['a'], pair['b'], pair['n_patients_of_one_model_only']
    if [s['sha256'] for s in models[a]['sources']] == [s['sha256'] for s in models[b]['sources']]:
        return f'{a} and {b} are the same predictions: check --pred.'
    if not alone:
        return ''
    return (
        f'{a} and {b} are compared on the {pair["n_patients"]} patients whom both have scored; {alone} have '
        'only one of the scores, and the figures of each model are of its own patients.'
    )


def _women(name: str, model: dict[str, Any]) -> str:
    n_women, n = model.get('n_women'), model['n_patients']
    if n_women is None or n_women == n:
        return ''
    return (
        f'{name}: {n} breasts of {n_women} women. Breasts of one woman are not independent, but every '
        'interval and p value takes them so: they are too narrow, and too small.'
    )


def _wrong_way(name: str, model: dict[str, Any]) -> str:
    auc = model.get('roc_auc', {})
    if auc.get('ci_high') is None or auc['ci_high'] >= 0.5:
        return ''
    return f'{name}: patients with the event score lower than those without; check labels and scores.'


def _missing(name: str, model: dict[str, Any]) -> str:
    inputs = telling(model.get('missing_inputs', []))
    if not inputs:
        return ''
    return (
        f'{name}: patients with unknown {", ".join(inputs)} have another event rate than those where it is '
        'known. A model can learn who was examined instead of what was found.'
    )


def _gap(name: str, model: dict[str, Any]) -> str:
    within = (model['cross_validation'] or {}).get('roc_auc_within_folds', {})
    if within.get('value') is None:
        return ''
    pooled = model['roc_auc']['value']
    if abs(pooled - within['value']) <= MAX_GAP:
        return ''
    return (
        f'{name}: the ROC AUC over the pooled scores of all outer folds is {pooled:.3f}, within the folds it '
        f'is {within["value"]:.3f} on average. The models of the folds score on different scales; the value '
        'within the folds is that of one model.'
    )


def _conditional(first: dict[str, Any]) -> str:
    """Of one cross-validation, or of one model: what an interval leaves out."""
    design = first['cross_validation']
    if not design:
        return ''
    repeats = f', repeated {design["n_repeats"]} times' if design['n_repeats'] > 1 else ''
    folds = (
        f'{design["n_folds"]} outer folds' if design['n_repeats'] == 1 else f'{design["n_folds"]} test parts'
    )
    return (
        f'Cross-validation: scores are pooled over the different models of {folds}{repeats}. Intervals and p '
        'values are given the trained models: another training set would have made other models.'
    )
