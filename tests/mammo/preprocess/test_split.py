"""Folds: no shared patient, every patient tested once, strata kept, order of items irrelevant."""

import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.preprocess import split
from mammo.records.meta import write_meta
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


@pytest.mark.parametrize('n_tables', [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_tables_share_no_patient_and_lose_no_image(n_tables):
    rng = np.random.default_rng(n_tables)
    for _ in range(n_tables):
        n_outer, n_inner = (int(n) for n in rng.integers(2, 6, 2))
        items = make_items(rng, int(rng.integers(10, 40)), rng.random())
        strata = split.patient_strata(items, 'patient_id', 'N')
        folds = list(split.nested_folds(strata, n_outer, n_inner, int(rng.integers(99))))
        assert len(folds) == n_outer * n_inner
        tested = []
        for fold in folds:
            images = split.Images(items, 'patient_id')
            parts = [images.of(part, ids) for part, ids in fold.parts.items()]
            train, val, test = map(patients_of, parts)
            assert train.isdisjoint(val | test)
            assert val.isdisjoint(test)
            assert sum(map(len, parts)) == len(items)
            tested += sorted(test) if fold.inner == 0 else []
        assert sorted(tested) == sorted(patients_of(items))


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_the_items(random):
    items = make_items(np.random.default_rng(3), 30)
    shuffled = random.sample(items, len(items))
    a, b = (
        list(split.nested_folds(split.patient_strata(order, 'patient_id', 'N'), 5, 5, 0))
        for order in (items, shuffled)
    )
    assert a == b


def test_seed_decides_the_folds():
    strata = split.patient_strata(make_items(np.random.default_rng(3), 30), 'patient_id', 'N')
    first, again, other = (list(split.nested_folds(strata, 3, 3, seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_label_rates_are_alike_in_all_test_parts():
    items = [dict(img_path='x', patient_id=f'{p:03}', gt_label={'N': int(p < 40)}) for p in range(200)]
    folds = list(split.nested_folds(split.patient_strata(items, 'patient_id', 'N'), 5, 5, 0))
    for fold in folds:
        for part, n in dict(test=8, val=6.4, train=25.6).items():
            assert abs(sum(int(p) < 40 for p in fold.parts[part]) - n) < 1


def test_a_patient_takes_the_highest_of_its_labels():
    items = [dict(img_path='x', patient_id='A', gt_label={'N': n}) for n in (0, 1)]
    items += [
        dict(img_path='x', patient_id='B', gt_label={}),
        dict(img_path='x', patient_id='C', gt_label={'N': 0}),
    ]
    assert split.patient_strata(items, 'patient_id', 'N').to_dict() == {
        'A': '1.0',
        'B': 'unknown',
        'C': '0.0',
    }


def test_a_continuous_label_is_stratified_by_quartile():
    items = [dict(img_path='x', patient_id=f'{p:03}', gt_label={'size': p / 7}) for p in range(100)]
    strata = split.patient_strata(items, 'patient_id', 'size')
    assert sorted(strata.value_counts()) == [25] * 4


@pytest.mark.parametrize('value', [None, ''])
def test_an_image_without_patient_is_refused(value):
    with pytest.raises(ValueError, match=r"item 0 \(a\): 'patient_id' is"):
        split.patient_strata([dict(img_path='a', patient_id=value, gt_label={})], 'patient_id', None)


def test_an_unknown_label_and_too_few_patients_are_refused():
    items = make_items(np.random.default_rng(0), 12)
    with pytest.raises(ValueError, match=r"no item has a label 'X'; known are \['N'\]"):
        split.patient_strata(items, 'patient_id', 'X')
    with pytest.raises(ValueError, match='12 patients for 7 x 2 folds'):
        list(split.nested_folds(split.patient_strata(items, 'patient_id', 'N'), 7, 2, 0))
    with pytest.raises(ValueError, match=r"no image has cohort 'X'; found \['site0'"):
        split.held_out(items, 'patient_id', 'X')


def test_report_counts_a_leak():
    items = [dict(img_path=p, patient_id=p, gt_label={'N': 1}, cohort='c') for p in 'ABC']
    parts = dict(train=frozenset('AB'), val=frozenset('B'), test=frozenset('C'))
    found = split.report(split.Images(items, 'patient_id'), [split.Fold(0, 0, parts)], set())
    assert found['shared_patients_max'] == 1
    assert found['folds'][0]['shared_patients'] == {'train-val': 1, 'train-test': 0, 'val-test': 0}
    assert found['folds'][0]['parts']['train']['labels'] == {'N': {'images_known': 2, 'mean': 1.0}}
    assert found['folds'][0]['parts']['train']['cohorts'] == {'c': 2}


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
            parts = [read(folder / f'{part}.json') for part in split.PARTS] + [holdout]
            assert sum(map(len, parts)) == len(set().union(*parts)) == 60
    report = json.loads((tmp_path / 'folds/split_report.json').read_text())
    assert report['shared_patients_max'] == report['patients_never_tested'] == 0
    assert report['settings']['seed'] == 0
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path / 'meta.json', '--out-dir', tmp_path / 'folds')
    assert re.search('is not empty', capsys.readouterr().err)


def test_images_without_a_label_are_left_out_of_train_and_val_only_and_only_on_request():
    labels = [dict(N=1), {}, dict(N=0), {}]
    items = [
        dict(img_path=f'{i}.png', patient_id='ab'[i // 2], gt_label=label) for i, label in enumerate(labels)
    ]
    chosen = {
        only: {
            part: [
                item['img_path']
                for item in split.Images(items, 'patient_id', labelled_only=only).of(part, {'a', 'b'})
            ]
            for part in ('train', 'val', 'test')
        }
        for only in (True, False)
    }
    everything = ['0.png', '1.png', '2.png', '3.png']
    assert chosen[True] == dict(train=['0.png', '2.png'], val=['0.png', '2.png'], test=everything)
    assert chosen[False] == dict(train=everything, val=everything, test=everything)
