"""Reporting checklist in the manner of TRIPOD+AI: what this run can say, and what only authors know.

report -> (topic, text) of each row
"""

from typing import Any

AUTHORS = 'Authors'


def checklist(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Topics of Collins et al. 2024, BMJ 385:e078378, in our own words."""
    settings, models = report['settings'], report['models']
    is_binary = settings['kind'] == 'binary'
    outcome = f'Task {report["task"]}, {settings["kind"]}. {AUTHORS}: how, when, by whom determined, blinded?'
    pooling = f'{AUTHORS}: images, clinical variables, timing. Images to patients: {settings["aggregate"]}.'
    return [
        (
            'Title, abstract, background, objectives',
            f'{AUTHORS}: a prediction model is evaluated, for whom, why.',
        ),
        ('Source of data and dates', f'{AUTHORS}. Files read are listed under Settings with their SHA-256.'),
        ('Participants and eligibility', f'{AUTHORS}. Who was left out here, and why, is under Cohort flow.'),
        ('Treatments received', f'{AUTHORS}.'),
        ('Outcome', outcome),
        ('Predictors and image preparation', pooling),
        ('Sample size', ' '.join(_size(name, model) for name, model in models.items())),
        ('Missing data', _missing(report)),
        ('Separation of development and test', ' '.join(f'{n}: {separation(m)}' for n, m in models.items())),
        ('Model type, building, class imbalance', f'{AUTHORS}: from the training configuration.'),
        ('Measures of performance', _measures(is_binary)),
        ('Uncertainty', _uncertainty(settings)),
        ('Model updating', _updating(models)),
        ('Fairness and subgroups', _subgroups(settings)),
        ('Decision threshold', _threshold(models, settings) if is_binary else 'None.'),
        ('Results with intervals', 'Summary, Clinical use, Comparisons. Full numbers: report.json.'),
        ('Ethics, protocol, registration, funding, interests', f'{AUTHORS}.'),
        ('Patient and public involvement', f'{AUTHORS}.'),
        ('Data, code and model availability', f'{AUTHORS}. Software versions are under Settings.'),
        ('Interpretation, limits, use in care', f'{AUTHORS}.'),
    ]


def _uncertainty(settings: dict[str, Any]) -> str:
    return (
        '95 % intervals, given the trained models; the method of each is in report.json and '
        f'docs/evaluation.md. {settings["n_bootstrap"]} bootstrap replicates, seed {settings["seed"]}.'
    )


def separation(model: dict[str, Any]) -> str:
    """What was checked, and no more: the training data of a model are not among these files."""
    if not model['development_sources']:
        return 'no development file, so separation was not checked by this run.'
    if model['cross_validation']:
        return (
            'cross-validation; every test patient is development data of other outer folds. Checked: no '
            'development patient of an outer fold is tested in it.'
        )
    return 'checked: nobody of the development files is in the test files.'


def _size(name: str, model: dict[str, Any]) -> str:
    events = f', {model["n_events"]} events' if model['n_events'] is not None else ''
    needed = model.get('sample_size')
    text = f'{model["n_patients"]} patients{events} ({name}). '
    if not needed:
        return text + f'{AUTHORS}: how it was planned.'
    parts = ', '.join(f'{criterion["criterion"]} {criterion["n"]}' for criterion in needed['criteria'])
    return (
        f'{text}For precise estimates Riley et al. 2021 would ask for {needed["n"]} '
        f'({parts}; tools/sample_size.py). {AUTHORS}: how it was planned.'
    )


def _missing(report: dict[str, Any]) -> str:
    name, first = next(iter(report['models'].items()))
    flow = first['flow']
    text = (
        f'{flow["patients_without_label"]} patients without label and '
        f'{flow["patients_without_usable_image"]} without usable image were left out ({name}).'
    )
    imputed = [_imputed(name, model['missing_inputs']) for name, model in report['models'].items()
               if model.get('missing_inputs')]  # fmt: skip
    return f'{text} {" ".join(imputed) or f"{AUTHORS}: missing predictors."}'


def _imputed(name: str, rows: list[dict[str, Any]]) -> str:
    counts = ', '.join(f'{row["input"]} {row["n_imputed"]}' for row in rows)
    return f'{name}, imputed for this many of {rows[0]["n_patients"]} patients: {counts}.'


def _measures(is_binary: bool) -> str:
    if not is_binary:
        return 'R2, Pearson correlation.'
    return (
        'ROC AUC, average precision, Brier score, calibration intercept, slope, observed/expected, ICI, E50, '
        'E90 and curve, net benefit, thresholds, biopsies spared. Not NRI and IDI: a worse calibrated '
        'model can score better on them (Hilden & Gerds 2014, Stat. Med. 33:3405).'
    )


def _updating(models: dict[str, dict[str, Any]]) -> str:
    updated = ', '.join(name for name, model in models.items() if model.get('recalibration'))
    if not updated:
        return 'None.'
    return f'Logistic and isotonic recalibration on development data, shown beside the original: {updated}.'


def _subgroups(settings: dict[str, Any]) -> str:
    if not settings['subgroups']:
        return 'No subgroup asked for in this run.'
    names = ', '.join(settings['subgroups'])
    return f'By {names}; groups under {settings["min_group"]} patients not estimated.'


def _threshold(models: dict[str, dict[str, Any]], settings: dict[str, Any]) -> str:
    places = [
        f'{name} on development data, applied to test data'
        if model['slnb']['development']
        else f'{name} on the test data themselves (optimistic)'
        for name, model in models.items()
    ]
    target = f'{100 * settings["sensitivity"]:g} % sensitivity'
    return f'Highest score threshold that keeps {target} where it was chosen: {"; ".join(places)}.'
