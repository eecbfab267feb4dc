"""Folds: no shared patient, every patient tested once, strata kept, order of items irrelevant."""

import json
import re
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from mammo.errors import UserError
from mammo.records.folds import PARTS
from mammo.records.meta import write_meta
from mammo.splits import split, strata
from mammo.splits.report import describe_folds
from tools.split import main


def make_items(rng, n_patients, labelled_frac=0.8):
    items = []
    for p in range(n_patients):
        label = {'N': int(rng.random() < 0.3)} if rng.random() < labelled_frac or p == 0 else {}
        cohort = f'site{rng.integers(3)}'
        for i in range(rng.integers(1, 6)):
            items.append(dict(img_path=f'{p}_{i}.png', patient_id=f'P{p}', gt_label=label, cohort=cohort))
    rng.shuffle(items)
    return items


def patients_of(items):
    return {item['patient_id'] for item in items}


def folds_of(items, **options):
    return split.make_folds(items, **options)[0]


@pytest.mark.parametrize('n_tables', [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_tables_share_no_patient_and_lose_no_image(n_tables):
    rng = np.random.default_rng(n_tables)
    for _ in range(n_tables):
        n_outer, n_inner, n_repeats = (int(n) for n in rng.integers((2, 2, 1), (6, 6, 3)))
        items = make_items(rng, int(rng.integers(10, 40)), rng.random())
        numbers = dict(outer=n_outer, inner=n_inner, repeats=n_repeats, seed=int(rng.integers(99)))
        folds = folds_of(items, stratify=['N', 'cohort'], **numbers)
        assert len(folds) == n_outer * n_inner * n_repeats
        tested = []
        images = strata.Images(items, 'patient_id')
        for fold in folds:
            parts = [images.of(part, ids) for part, ids in fold.parts.items()]
            train, val, test = map(patients_of, parts)
            assert train.isdisjoint(val | test)
            assert val.isdisjoint(test)
            assert sum(map(len, parts)) == len(items)
            tested += sorted(test) if fold.inner == 0 else []
        assert sorted(tested) == sorted([*patients_of(items)] * n_repeats)


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_the_items(random):
    items = make_items(np.random.default_rng(3), 30)
    shuffled = random.sample(items, len(items))
    a, b = (folds_of(order, stratify=['N', 'cohort']) for order in (items, shuffled))
    assert a == b


def test_seed_decides_the_folds():
    items = make_items(np.random.default_rng(3), 30)
    first, again, other = (folds_of(items, outer=3, inner=3, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize('wrong', [dict(repeats=0), dict(seed=-1), dict(seed=2**31)])
def test_repeats_and_seeds_that_cannot_be_are_refused(wrong):
    items = make_items(np.random.default_rng(3), 30)
    with pytest.raises(UserError, match=r'--repeats is \d+, 1 or more; --seed is -?\d+, 0 or more'):
        folds_of(items, **wrong)
    assert folds_of(items, repeats=1, seed=2**31 - 1)


def test_cohorts_in_two_spellings_are_named_since_each_would_be_a_site_of_its_own(caplog):
    items = [
        dict(img_path=f'{i}.png', patient_id=f'p{i}', cohort=site) for i, site in enumerate(('A', 'a', 'B'))
    ]
    strata.check_groups(items, 'patient_id', '')
    assert 'cohorts: ids that differ only by case' in caplog.text
    assert "'A' and 'a'" in caplog.text
    with pytest.raises(UserError, match="'A' and 'a'"):
        strata.check_groups(items, 'patient_id', '', strict=True)


def test_the_first_of_several_partitions_is_the_one_without_repeats_and_the_others_differ():
    items = make_items(np.random.default_rng(3), 30)
    once, twice = (folds_of(items, outer=3, inner=2, stratify=['N'], repeats=n) for n in (1, 2))
    assert [fold.outer for fold in twice[::2]] == ['r0f0', 'r0f1', 'r0f2', 'r1f0', 'r1f1', 'r1f2']
    assert [fold.parts for fold in once] == [fold.parts for fold in twice[:6]]
    assert {fold.parts['test'] for fold in twice[:6]}.isdisjoint(fold.parts['test'] for fold in twice[6:])


def test_parts_are_those_of_scikit_learn_with_a_seed_of_their_own_for_each_test_part():
    """So that the folds of a seed can be made again, and no inner split repeats the outer one."""
    items = [dict(patient_id=f'{p:02}', gt_label={}) for p in range(30)]
    ids = np.array([f'{p:02}' for p in range(30)])

    def parts(of, n, seed):
        return [
            set(of[test])
            for _, test in StratifiedKFold(n, shuffle=True, random_state=seed).split(of, of != '')
        ]

    folds = folds_of(items, outer=3, inner=2, seed=7)
    assert [fold.parts['test'] for fold in folds[::2]] == parts(ids, 3, np.random.RandomState(7))
    for place, fold in enumerate(folds[::2]):
        rest = np.array(sorted(set(ids) - fold.parts['test']))
        found = [each.parts['val'] for each in folds[2 * place : 2 * place + 2]]
        assert found == parts(rest, 2, 7 + 1 + place)


def test_label_rates_are_alike_in_all_test_parts():
    items = [dict(img_path='x', patient_id=f'{p:03}', gt_label={'N': int(p < 40)}) for p in range(200)]
    for fold in folds_of(items, stratify=['N'], repeats=2):
        for part, n in dict(test=8, val=6.4, train=25.6).items():
            assert abs(sum(int(p) < 40 for p in fold.parts[part]) - n) < 1


def test_strata_of_as_many_patients_as_parts_are_kept():
    items = [dict(patient_id=str(p), gt_label={'N': p % 2}) for p in range(6)]
    for fold in folds_of(items, stratify=['N'], outer=3, inner=2):
        assert sorted(int(p) % 2 for p in fold.parts['test']) == [0, 1]


def test_two_labels_and_the_cohort_are_all_stratified():
    items = [
        dict(patient_id=f'{p:03}', gt_label=dict(N=p % 2, M=int(p < 24)), cohort='ab'[p % 3 > 0])
        for p in range(120)
    ]
    for fold in folds_of(items, stratify=['N', 'M', 'cohort'], outer=4):
        chosen = [int(p) for p in fold.parts['test']]
        assert abs(sum(p % 2 for p in chosen) - 15) <= 2
        assert abs(sum(p < 24 for p in chosen) - 6) <= 1
        assert abs(sum(p % 3 == 0 for p in chosen) - 10) <= 2


def test_a_patient_takes_the_highest_of_its_labels_and_all_of_its_fields():
    items = [dict(patient_id='A', gt_label={'N': n}, cohort=c) for n, c in ((0, 'y'), (1, 'x'))]
    items += [dict(patient_id='B', gt_label={}), dict(patient_id='C', gt_label={'N': 0}, cohort='x')]
    assert strata.group_strata(items, 'patient_id', ['N']).to_dict() == dict(A='1.0', B='unknown', C='0.0')
    both = dict(A='1.0 | x+y', B='unknown | unknown', C='0.0 | x')
    assert strata.group_strata(items, 'patient_id', ['N', 'cohort']).to_dict() == both


def test_with_the_breast_as_unit_the_labels_of_both_breasts_count():
    items = [
        dict(patient_id=p, laterality=side, gt_label=dict(N=n))
        for p, sides in dict(A=(0, 1), B=(1, 0), C=(1, 1)).items()
        for side, n in zip('LR', sides, strict=True)
    ]
    items.append(dict(patient_id='D', laterality='L', gt_label=dict(N=1)))
    by_breast = strata.group_strata(items, 'patient_id', ['N'], 'breast').to_dict()
    assert by_breast == dict(A='0.0+1.0', B='0.0+1.0', C='1.0+1.0', D='1.0')
    assert set(strata.group_strata(items, 'patient_id', ['N'])) == {'1.0'}


def test_folds_with_the_breast_as_unit_need_sides():
    items = make_items(np.random.default_rng(3), 30)
    with pytest.raises(
        UserError, match=r'have no laterality L or R: .*; write it into the meta file, or take'
    ):
        folds_of(items, unit='breast')


def test_a_stratum_too_rare_for_all_parts_is_logged_once_and_no_other_warning_is_given(caplog):
    items = [dict(patient_id=f'{p:02}', gt_label=dict(N=int(p < 3))) for p in range(30)]
    with warnings.catch_warnings(action='error'):
        folds = folds_of(items, outer=3, inner=2, stratify=['N'])
    assert len(folds) == 6
    assert [record.getMessage() for record in caplog.records] == [
        "some parts will lack a stratum: patients per stratum {'1.0': 3}"
    ]


@pytest.mark.parametrize('side', [None, '', 'B'])
def test_with_the_breast_as_unit_an_image_without_a_side_is_refused(side):
    items = [dict(img_path='a.png', patient_id='A', laterality=side, gt_label={})]
    with pytest.raises(UserError, match=r'--unit breast: 1 images have no laterality L or R: a\.png'):
        strata.group_strata(items, 'patient_id', [], 'breast')


def test_a_continuous_label_or_field_is_stratified_by_quartile():
    items = [dict(patient_id=f'{p:03}', age=p, gt_label={'size': p / 7}) for p in range(100)]
    for name in ('size', 'age'):
        assert sorted(strata.group_strata(items, 'patient_id', [name]).value_counts()) == [25] * 4


@pytest.mark.parametrize('value', [None, ''])
def test_an_image_without_patient_is_refused(value):
    with pytest.raises(UserError, match=r"item 0 \(a\): 'patient_id' is"):
        strata.group_strata([dict(img_path='a', patient_id=value, gt_label={})], 'patient_id')


def test_a_group_that_tears_patients_apart_is_refused_and_a_coarser_one_is_not():
    items = [
        dict(img_path=f'{p}{e}.png', patient_id=p, exam_id=f'{p}{e}', family=p.lower(), gt_label={})
        for p in 'aAbBcCdD'
        for e in '12'
    ]
    with pytest.raises(UserError, match='--group exam_id: 8 patients have images in more than one exam_id'):
        strata.check_groups(items, 'exam_id', '')
    strata.check_groups(items, 'family', '')
    for fold in folds_of(items, group='family', outer=2, inner=2):
        assert fold.parts['test'] <= set('abcd')


def test_each_cohort_is_tested_by_models_that_saw_none_of_it():
    items = [dict(patient_id=f'{p:02}', gt_label=dict(N=p % 2), cohort='cab'[p % 3]) for p in range(30)]
    folds = folds_of(items, leave_one_cohort_out=True, inner=2, stratify=['N'])
    cohort = {item['patient_id']: item['cohort'] for item in items}
    assert [fold.outer for fold in folds] == ['0', '0', '1', '1', '2', '2']
    for fold in folds:
        (left_out,) = {cohort[p] for p in fold.parts['test']}
        assert left_out == 'abc'[int(fold.outer)]
        assert left_out not in {cohort[p] for part in ('train', 'val') for p in fold.parts[part]}
        assert sum(map(len, fold.parts.values())) == 30


def test_two_cohorts_are_enough_to_leave_one_out():
    items = [dict(patient_id=str(i), gt_label={}, cohort='ab'[i % 2]) for i in range(8)]
    folds = folds_of(items, leave_one_cohort_out=True, inner=2)
    assert [fold.parts['test'] for fold in folds[::2]] == [frozenset('0246'), frozenset('1357')]


def test_patients_in_two_spellings_are_called_patients():
    items = [dict(img_path=f'{i}.png', patient_id=p) for i, p in enumerate(('P1', 'p1', 'p2'))]
    with pytest.raises(UserError, match=r"patients: ids that differ only by case.*'P1' and 'p1'"):
        strata.check_groups(items, 'patient_id', '', strict=True)


@pytest.mark.parametrize(
    ('cohorts', 'options', 'message'),
    [
        ('aaaaaaaa', {}, 'here is one cohort only'),
        ('aaaabbb-', {}, 'here 1 patients have none or several: 3'),
        ('abbbbbbb', {}, 'here 1 patients have none or several: 0'),
        ('aabbbbbb', dict(repeats=2), 'leave out --repeats'),
    ],
)
def test_cohorts_that_cannot_be_left_out_one_by_one_are_refused(cohorts, options, message):
    items = [dict(patient_id=str(i // 2), gt_label={}, cohort=c) for i, c in enumerate(cohorts)]
    items[-1]['cohort'] = None if cohorts[-1] == '-' else cohorts[-1]
    with pytest.raises(UserError, match=message):
        split.make_folds(items, leave_one_cohort_out=True, inner=2, **options)


def test_an_unknown_label_and_too_few_patients_are_refused():
    items = make_items(np.random.default_rng(0), 12)
    with pytest.raises(UserError, match=r"--stratify X: no item has such .*; there are \['N'\] and"):
        folds_of(items, stratify=['X'])
    with pytest.raises(UserError, match='12 patients for 7 x 2 folds'):
        folds_of(items, outer=7, inner=2)
    with pytest.raises(UserError, match=r"no image has cohort 'X'; there are \['site0'"):
        folds_of(items, holdout_cohort='X')


def test_report_counts_patients_that_are_on_two_sides():
    items = [dict(patient_id=p, gt_label={'N': 1}, cohort='c', laterality='L') for p in 'AABC']
    parts = dict(train=items[:2], val=items[1:3], test=items[3:])
    report = describe_folds({('0', 0): parts}, [], 'patient_id')
    assert report['shared_patients_max'] == 1
    assert report['folds'][0]['shared_patients'] == {'train-val': 1, 'train-test': 0, 'val-test': 0}
    assert report['patients_never_tested'] == 2
    train = dict(
        patients=1, breasts=1, images=2, labels=dict(N=dict(images_known=2, mean=1.0)), cohorts=dict(c=2)
    )
    assert report['folds'][0]['parts']['train'] == train


def call(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['split.py', *map(str, args)])
    main()


def test_tool_writes_folds_holdout_and_report(tmp_path, monkeypatch, capsys):
    items = make_items(np.random.default_rng(1), 60)
    items.append(dict(img_path='both.png', patient_id='P0', gt_label={}, cohort='site2'))
    write_meta(tmp_path / 'meta.json', items, ['N'])
    options = ['--stratify', 'N', '--outer', 3, '--inner', 2, '--holdout-cohort', 'site2']
    call(monkeypatch, tmp_path / 'meta.json', '--out-dir', tmp_path / 'folds', *options)
    read = lambda path: patients_of(json.loads(path.read_text())['data_list'])  # noqa: E731
    holdout = read(tmp_path / 'folds/holdout.json')
    assert 'P0' in holdout
    for outer in range(3):
        for inner in range(2):
            folder = tmp_path / f'folds/{outer}/{inner}'
            parts = [read(folder / f'{part}.json') for part in PARTS] + [holdout]
            assert sum(map(len, parts)) == len(set().union(*parts)) == 60
    report = json.loads((tmp_path / 'folds/split_report.json').read_text())
    assert report['shared_patients_max'] == report['patients_never_tested'] == 0
    assert report['settings']['seed'] == 0
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path / 'meta.json', '--out-dir', tmp_path / 'folds')
    assert re.search('is not empty', capsys.readouterr().err)


def test_identical_images_under_two_patients_are_refused_before_anything_is_written(
    tmp_path, monkeypatch, capsys
):
    items = make_items(np.random.default_rng(1), 20)
    write_meta(tmp_path / 'meta.json', items, ['N'])
    (tmp_path / '0_0.png').write_text('same')
    (tmp_path / '1_0.png').write_text('same')
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path / 'meta.json', '--out-dir', tmp_path / 'folds')
    assert re.search(
        r'leak check: 1 images are in P. and P.: .*0_0\.png = .*1_0\.png', capsys.readouterr().err
    )
    assert not (tmp_path / 'folds').exists()


def test_images_without_a_label_are_left_out_of_train_and_val_only_and_only_on_request():
    labels = [dict(N=1), {}, dict(N=0), {}]
    items = [
        dict(img_path=f'{i}.png', patient_id='ab'[i // 2], gt_label=label) for i, label in enumerate(labels)
    ]
    chosen = {
        only: {
            part: [
                item['img_path']
                for item in strata.Images(items, 'patient_id', labelled_only=only).of(part, {'a', 'b'})
            ]
            for part in ('train', 'val', 'test')
        }
        for only in (True, False)
    }
    everything = ['0.png', '1.png', '2.png', '3.png']
    assert chosen[True] == dict(train=['0.png', '2.png'], val=['0.png', '2.png'], test=everything)
    assert chosen[False] == dict(train=everything, val=everything, test=everything)


def test_an_image_that_is_there_twice_is_refused():
    items = [dict(img_path=f'{i % 3}.png', patient_id=f'p{i % 3}') for i in range(4)]
    with pytest.raises(UserError, match=r'1 images are there more than once: 0\.png; keep one of each'):
        strata.check_groups(items, 'patient_id', '')
