"""The report object: its form, what is null, comparisons, thresholds per fold."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from mammo.evaluation.cohort.reading import Patients
from mammo.evaluation.report.build import build_report
from mammo.evaluation.report.options import Options
from mammo.records.predictions import PredictionError

QUICK = Options(n_bootstrap=200)


def patients(scores, labels, ids=None, folds='', **columns):
    index = pd.Index(ids or [f'p{i:03}' for i in range(len(scores))], name='patient_id')
    table = pd.DataFrame(dict(score=scores, label=labels, fold=folds, **columns), index=index, dtype=None)
    flow = dict(patients_without_label=0, patients_without_usable_image=0)
    return Patients(table.astype({'score': float, 'label': float}), flow, [])


def draw(n=120, seed=0, strength=1.0, **more):
    truth, rng = np.random.default_rng(99), np.random.default_rng(seed)
    risk = truth.normal(-1, 1.2, n)
    labels = (truth.random(n) < expit(risk)).astype(float)
    return patients(expit(strength * risk + rng.normal(0, 0.5, n)), labels, **more)


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value]


def interesting(model):
    return [model['calibration'][key] for key in ('intercept', 'slope', 'observed_expected')]


def report(test, development=None, options=QUICK):
    result = build_report(test, development or {}, 'N', options)
    json.dumps(result, allow_nan=False)
    return result


def test_report_has_the_promised_form():
    result = report(dict(A=draw(), B=draw(seed=1)), dict(A=draw(ids=[f'd{i}' for i in range(120)])))
    assert {'format_version', 'task', 'models', 'comparisons', 'settings', 'versions'} <= set(result)
    model = result['models']['A']
    for estimate in (model['roc_auc'], model['pr_auc'], model['brier'], *interesting(model)):
        assert {'value', 'ci_low', 'ci_high', 'method'} <= set(estimate)
        assert estimate['ci_low'] < estimate['value'] < estimate['ci_high']
    assert set(model['calibration']) == {'intercept', 'slope', 'observed_expected', 'ici', 'e50', 'e90'}
    assert {'threshold', 'model', 'treat_all', 'treat_none', 'avoided_per_100'} <= set(
        model['net_benefit'][0]
    )
    assert {'threshold', 'sensitivity', 'reduction_rate', 'fnr', 'npv'} <= set(model['slnb']['test'])
    assert model['slnb']['development']['threshold_chosen_on'] == 'development'
    assert result['models']['B']['slnb']['development'] is None
    (comparison,) = result['comparisons']
    headline = ['roc_auc', 'pr_auc', 'brier', 'reduction_rate', 'sensitivity', 'npv', 'mean_net_benefit']
    assert {'a', 'b', 'delta_net_benefit', *(f'delta_{name}' for name in headline)} <= set(comparison)
    assert comparison['delta_roc_auc']['p'] > 0


def test_values_are_those_of_scikit_learn():
    data = draw()
    model = report(dict(A=data))['models']['A']
    assert model['roc_auc']['value'] == pytest.approx(roc_auc_score(data.table.label, data.table.score))
    assert model['pr_auc']['value'] == pytest.approx(
        average_precision_score(data.table.label, data.table.score)
    )


def test_same_seed_gives_the_same_report_whatever_other_models_there_are():
    one, two = report(dict(A=draw())), report(dict(B=draw(seed=5), A=draw()))
    assert one['models']['A'] == two['models']['A']


@pytest.mark.parametrize(
    ('scores', 'labels'),
    [
        ([0.1, 0.5, 0.4], [0, 0, 0]),
        ([0.1, 0.5, 0.4], [1, 1, 1]),
        ([0.3], [1]),
        ([0.3], [0]),
        ([0.5] * 30, [0, 1] * 15),
        ([-3.0, 0.1, 5.0, 1.2] * 5, [0, 1, 1, 0] * 5),
        ([0.1, 0.2, 0.3, 0.9], [0, 0, 0, 1]),
        ([0.0, 1.0] * 10, [0, 1] * 10),
        ([0.2, 0.6, 0.5], [0, 1, math.nan]),
    ],
    ids=[
        'no positives',
        'no negatives',
        'one',
        'one negative',
        'equal',
        'outside',
        'one event',
        'perfect',
        'unlabelled',
    ],
)
def test_poor_data_give_nulls_with_reasons_and_never_nan(scores, labels):
    options = QUICK._replace(subgroups=('cohort',))
    models = {name: patients(scores, labels, cohort='X') for name in 'AB'}
    development = {'A': patients(scores, labels, ids=[f'd{i}' for i in range(len(scores))])}
    result = report(models, development, options)
    model = result['models']['A']
    for estimate in (model['roc_auc'], model['pr_auc'], model['brier'], *model['calibration'].values()):
        assert estimate['value'] is not None or estimate['reason']
        assert estimate['ci_low'] is not None or estimate['reason']
    assert not any(isinstance(n, float) and not math.isfinite(n) for n in numbers(result))


def test_reasons_name_the_cause():
    model = report(dict(A=patients([0.1, 0.5], [0, 0])))['models']['A']
    assert model['roc_auc']['reason'] == 'no positive patients, 1 needed'
    assert 'no threshold' in model['slnb']['test']['npv']['reason']
    outside = report(dict(A=patients([-1, 2, 0.5, 3], [0, 1, 1, 0])))['models']['A']
    assert outside['roc_auc']['value'] is not None
    assert outside['brier']['reason'] == 'scores outside 0 to 1 are no probabilities'
    assert outside['net_benefit'] == []


def test_models_on_different_patients_are_compared_on_the_common_ones():
    whole, part = draw(), draw(seed=1)
    part = part._replace(table=part.table.iloc[:100])
    (comparison,) = report(dict(A=whole, B=part))['comparisons']
    assert (comparison['n_patients'], comparison['n_patients_of_one_model_only']) == (100, 20)
    cut = whole._replace(table=whole.table.iloc[:100])
    (same,) = report(dict(A=cut, B=part))['comparisons']
    for key in ('delta_roc_auc', 'delta_pr_auc', 'delta_reduction_rate'):
        assert comparison[key] == pytest.approx(same[key])


def test_models_on_different_patients_are_refused_when_strict():
    part = draw(seed=1)
    part = part._replace(table=part.table.iloc[:100])
    with pytest.raises(
        PredictionError, match=r'A and B: 20 patients have only one of the two scores: p100, .*--strict'
    ):
        report(dict(A=draw(), B=part), options=QUICK._replace(strict=True))


def test_models_without_a_common_patient_have_a_null_comparison():
    other = draw(ids=[f'q{i}' for i in range(120)])
    (comparison,) = report(dict(A=draw(), B=other))['comparisons']
    assert (comparison['n_patients'], comparison['delta_roc_auc']['value']) == (0, None)
    assert 'there are none' in comparison['reason']


def test_models_with_other_labels_are_refused():
    other = draw()
    other.table['label'] = 1 - other.table.label
    with pytest.raises(PredictionError, match='A and B: labels differ for patients p000, p001'):
        report(dict(A=draw(), B=other))


def test_many_models_are_each_compared_with_the_first():
    models = {name: draw(seed=i) for i, name in enumerate('ABCDEF')}
    pairs = [(c['a'], c['b']) for c in report(models)['comparisons']]
    assert pairs == [('A', name) for name in 'BCDEF']


def test_threshold_is_chosen_in_each_outer_fold_and_applied_there():
    ids = ['a', 'b', 'c', 'd']
    test = patients([0.3, 0.1, 0.3, 0.5], [1, 0, 1, 0], ids=ids, folds=['0', '0', '1', '1'])
    development = patients(
        [0.2, 0.1, 0.4, 0.1], [1, 0, 1, 0], ids=['w', 'x', 'y', 'z'], folds=['0', '0', '1', '1']
    )
    slnb = report(dict(A=test), dict(A=development))['models']['A']['slnb']['development']
    assert slnb['threshold_by_fold'] == {'0': 0.2, '1': 0.4}
    assert slnb['threshold'] is None
    assert (slnb['reduction_rate']['count'], slnb['fnr']['count']) == (2, 1)  # b, and c of fold 1


def test_outer_fold_without_development_is_refused():
    test = patients([0.3, 0.1], [1, 0], folds=['0', '1'])
    development = patients([0.3, 0.1], [1, 0], ids=['x', 'y'], folds=['0', '0'])
    with pytest.raises(PredictionError, match='outer fold 1 has test but no development'):
        report(dict(A=test), dict(A=development))


def test_threshold_of_development_does_not_depend_on_test_scores():
    development = draw(ids=[f'd{i}' for i in range(120)])
    found = [
        report(dict(A=draw(seed=s)), dict(A=development))['models']['A']['slnb']['development']['threshold']
        for s in (1, 2)
    ]
    assert found[0] == found[1]


def test_subgroups_hold_every_patient_once_and_small_ones_no_estimate():
    cohort = ['A'] * 70 + ['B'] * 40 + [None] * 10
    rows = report(dict(M=draw(cohort=cohort)), options=QUICK._replace(subgroups=('cohort',)))['models']['M'][
        'subgroups'
    ]
    assert [(row['group'], row['n_patients']) for row in rows] == [('A', 70), ('B', 40), ('unknown', 10)]
    assert rows[0]['roc_auc']['value'] is not None
    assert rows[2]['roc_auc'] == dict(
        value=None, ci_low=None, ci_high=None, method=None, reason='fewer than 20 patients'
    )


def test_numeric_subgroup_is_cut_into_thirds_in_order():
    age = [*range(40, 99), None, *range(40, 100)]
    rows = report(dict(M=draw(age=age)), options=QUICK._replace(subgroups=('age',)))['models']['M'][
        'subgroups'
    ]
    assert [row['group'] for row in rows] == ['40 to 59', '60 to 79', '80 to 99', 'unknown']
    assert sum(row['n_patients'] for row in rows) == 120


def test_unknown_subgroup_column_is_refused_with_those_there_are():
    with pytest.raises(
        PredictionError, match='--subgroup age: no such column in the predictions; there are cohort'
    ):
        report(dict(M=draw(cohort='A')), options=QUICK._replace(subgroups=('age',)))


def test_regression_task_gets_r2_and_pearson():
    labels = np.random.default_rng(0).normal(size=50)
    result = report(dict(A=patients(labels + 0.1, labels)))
    assert result['settings']['kind'] == 'regression'
    assert result['models']['A']['r2']['value'] > 0.9
    assert result['models']['A']['pearson']['value'] == pytest.approx(1)


@pytest.mark.parametrize(
    ('test', 'development', 'options', 'message'),
    [
        (dict(A=patients([0.1], [math.nan])), {}, QUICK, 'A: no patient has a label'),
        (dict(A=draw()), dict(B=draw()), QUICK, '--dev B: no --pred has this name; names are A'),
        (dict(A=draw()), dict(A=draw()), QUICK, 'A: 120 patients are in development and test'),
        (
            dict(A=patients([0.1, 0.2], [0, 2])),
            {},
            QUICK._replace(kind='binary'),
            r'label 2.0 of p001 is neither 0 nor 1',
        ),
    ],
)
def test_wrong_input_is_refused(test, development, options, message):
    with pytest.raises(PredictionError, match=message):
        report(test, development, options)


def test_confidence_makes_the_threshold_cautious_and_the_promise_is_in_the_report():
    development = draw(n=400, ids=[f'd{i}' for i in range(400)])
    plain = report(dict(A=draw()), dict(A=development))['models']['A']['slnb']['development']
    safe = report(dict(A=draw()), dict(A=development), QUICK._replace(confidence=0.95))
    safe = safe['models']['A']['slnb']['development']
    assert safe['threshold'] < plain['threshold']
    assert safe['promise']['']['confidence'] == 0.95
    assert 'promise' not in plain


def test_too_few_events_for_a_promise_give_no_threshold_but_say_how_many_it_takes():
    development = draw(n=40, ids=[f'd{i}' for i in range(40)])
    slnb = report(dict(A=draw()), dict(A=development), QUICK._replace(confidence=0.95))
    slnb = slnb['models']['A']['slnb']['development']
    assert slnb['threshold'] is None
    assert '29 are needed' in slnb['sensitivity']['reason']


def repeated(shift):
    """Two repeats of a cross-validation in two folds each: every patient is tested twice."""
    once = draw(folds=['r0f0', 'r0f1'] * 60)
    twice = once.table.assign(fold=['r1f0'] * 60 + ['r1f1'] * 60, score=once.table.score + shift)
    return once, once._replace(table=pd.concat([once.table, twice]))


def test_repeats_are_pooled_by_patient():
    once, twice = repeated(shift=0.0)
    one, two = (report(dict(A=data))['models']['A'] for data in (once, twice))
    assert two['n_patients'] == one['n_patients'] == 120
    assert two['roc_auc'] == one['roc_auc']
    assert (one['cross_validation']['n_repeats'], two['cross_validation']['n_repeats']) == (1, 2)


def test_score_and_threshold_of_a_patient_are_the_means_over_her_repeats():
    test = patients([0.2, 0.6, 0.4, 0.8], [1, 0, 1, 0], ids=['a', 'b'] * 2, folds=['r0', 'r0', 'r1', 'r1'])
    development = patients([0.1, 0.7], [1, 1], ids=['x', 'y'], folds=['r0', 'r1'])
    slnb = report(dict(A=test), dict(A=development))['models']['A']['slnb']['development']
    assert (slnb['fnr']['count'], slnb['reduction_rate']['count']) == (1, 1)  # a: 0.3 < 0.4; b: 0.7


def test_isotonic_recalibration_has_no_slope_but_an_observed_over_expected():
    development = dict(A=draw(ids=[f'd{i}' for i in range(120)]))
    isotonic = report(dict(A=draw(seed=3)), development)['models']['A']['recalibration']['isotonic']
    assert isotonic['slope']['value'] is None
    assert 'step function' in isotonic['slope']['reason']
    assert isotonic['observed_expected']['ci_low'] < 1.3


def test_groups_that_differ_are_told_apart_by_one_test_each():
    rng = np.random.default_rng(0)
    site = np.repeat(['A', 'B'], 300)
    risk = rng.normal(-1, 1.5, 600)
    labels = (rng.random(600) < expit(risk + 1.5 * (site == 'B'))).astype(float)
    scores = np.where(site == 'A', expit(risk), rng.random(600))  # no information on site B
    (row,) = report(dict(M=patients(scores, labels, site=site)), options=QUICK._replace(subgroups=('site',)))[
        'models'
    ]['M']['heterogeneity']
    assert row['p_auc'] < 0.001
    assert row['p_calibration'] < 0.001


def test_groups_of_numbers_are_named_as_they_are_written():
    result = report(dict(M=draw(LVI=[0.0, 1.0] * 60)), options=QUICK._replace(subgroups=('LVI',)))
    assert [row['group'] for row in result['models']['M']['subgroups']] == ['0', '1']


def test_subgroups_of_a_model_that_does_not_know_them_are_those_of_the_others():
    site = ['X', 'Y'] * 60
    result = report(dict(A=draw(), B=draw(seed=1, site=site)), options=QUICK._replace(subgroups=('site',)))
    rows = [[(r['group'], r['n_patients']) for r in result['models'][name]['subgroups']] for name in 'AB']
    assert rows[0] == rows[1] == [('X', 60), ('Y', 60)]


@pytest.mark.parametrize(
    ('odd', 'words'), [(9, '1 values are 9'), (-1, '1 values are -1'), (0.5, '1 values are 0.5')]
)
def test_labels_that_may_be_codes_are_no_regression_unless_said(odd, words):
    test = dict(A=patients(np.linspace(0.1, 0.9, 9), [0, 1, 0, 1, 0, 1, 0, 1, odd]))
    with pytest.raises(PredictionError, match=f'task N: of the labels {words}.* or say --kind regression'):
        report(test)
    assert 'r2' in report(test, options=QUICK._replace(kind='regression'))['models']['A']


def test_models_whose_patients_look_alike_are_named(caplog):
    labels, scores = [0, 1] * 4, np.linspace(0.1, 0.9, 8)
    report(dict(A=patients(scores, labels), B=patients(scores, labels, ids=[f'P{i}' for i in range(8)])))
    assert 'patients of the models: ids that differ only by case' in caplog.text


@pytest.mark.parametrize('codes', [(1, 2), (0, 2), (3, 3)])
def test_two_labels_other_than_0_and_1_are_no_regression_unless_said(codes):
    test = dict(A=patients(np.linspace(0.1, 0.9, 60), np.resize(codes, 60)))
    with pytest.raises(PredictionError, match='those of a binary task are 0 and 1'):
        report(test)
    report(test, options=QUICK._replace(kind='regression'))


def test_counts_are_taken_for_values():
    result = report(dict(A=patients(np.linspace(0, 4, 60), np.resize([0, 1, 2, 5], 60))))
    assert result['settings']['kind'] == 'regression'


def test_files_of_one_model_on_two_scales_are_refused():
    test, development = draw(), draw(ids=[f'd{i}' for i in range(120)])
    test = test._replace(ranges={'a.json': (0.01, 0.9)})
    percent = development._replace(ranges={'d.json': (1.0, 90.0)})
    with pytest.raises(
        PredictionError, match=r'A: scores of a\.json from 0.01 to 0.9 and of d\.json from 1 to 90'
    ):
        report(dict(A=test), dict(A=percent))
    report(dict(A=test._replace(ranges={'a.json': (-3, 4)})), dict(A=percent))
    report(dict(A=test), dict(A=development._replace(ranges={'d.json': (0, 1)})))


def test_models_without_a_common_patient_are_not_compared_and_look_alikes_are_named(caplog):
    own, other = draw(ids=[str(i) for i in range(120)]), draw(ids=[f'{i:04}' for i in range(120)])
    (comparison,) = report(dict(A=own, B=other))['comparisons']
    assert 'there are none; do both files spell the ids alike?' in comparison['reason']
    assert "'0' and '0000'" in caplog.text


def test_ages_with_a_word_among_them_are_not_cut_into_single_years():
    ages = [*range(40, 90), *['fifty'] * 2]
    data = patients(
        np.linspace(0.1, 0.9, 52), np.resize([0, 1], 52), age=pd.Series(ages, dtype=object).to_numpy()
    )
    with pytest.raises(PredictionError, match='--subgroup age: 50 values are numbers, others text: fifty'):
        report(dict(A=data), options=QUICK._replace(subgroups=['age']))


def test_no_threshold_promises_that_nobody_is_ever_missed():
    development = draw(ids=[f'd{i}' for i in range(120)])
    options = QUICK._replace(sensitivity=1.0, confidence=0.95)
    result = report(dict(A=draw()), dict(A=development), options)['models']['A']['slnb']['development']
    assert 'no number of positives shows' in result['reason']


def test_scores_below_all_of_development_are_reported_where_isotonic_risks_are_all_zero():
    test, development = draw(), draw(ids=[f'd{i}' for i in range(120)])
    low = test._replace(table=test.table.assign(score=test.table.score / 1e4))
    result = report(dict(A=low), dict(A=development))['models']['A']['recalibration']['isotonic']
    assert result['observed_expected']['value'] is None
    assert 'no event is expected' in result['observed_expected']['reason']
