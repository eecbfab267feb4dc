"""Prediction files to patients: means, maxima, who is left out, and every refusal."""

import numpy as np
import pytest

from mammo.errors import UserError
from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.cohort.separation import check_separate
from mammo.records.predictions import PredictionError, write_predictions


def image(patient, score, label=0, name=None, **more):
    fields = dict(
        img_path=name or f'{patient}_{score}.png', patient_id=patient, exam_id='1', view='CC', laterality='L'
    )
    return {**fields, **more, 'tasks': {'N': dict(logit=None, pred_score=score, gt_label=label)}}


def write(path, *records):
    write_predictions(path, list(records))
    return path


def scores(paths, **options):
    return read_patients(paths, 'N', **options).table.score.to_dict()


def test_patient_score_is_the_maximum_over_images_or_the_mean(tmp_path):
    path = write(tmp_path / 'a.json', image('p', 0.2), image('p', 0.6), image('q', 0.5))
    assert scores([path]) == dict(p=0.6, q=0.5)
    assert scores([path], aggregate='mean') == pytest.approx(dict(p=0.4, q=0.5))


def test_ensemble_mean_comes_before_the_maximum(tmp_path):
    a = write(tmp_path / 'a.pkl', image('p', 0.9, name='x'), image('p', 0.1, name='y'))
    b = write(tmp_path / 'b.csv', image('p', 0.1, name='x'), image('p', 0.7, name='y'))
    assert scores([a, b]) == pytest.approx(dict(p=0.5))  # not 0.8, the mean of maxima


def test_patient_score_is_invariant_to_image_order(tmp_path):
    images = [image(f'p{i % 5}', i / 20) for i in range(20)]
    shuffled = [images[i] for i in np.random.default_rng(0).permutation(20)]
    assert scores([write(tmp_path / 'a.json', *images)]) == scores([write(tmp_path / 'b.json', *shuffled)])


def test_other_side_is_left_out_unless_asked_for(tmp_path):
    path = write(
        tmp_path / 'a.json',
        image('p', 0.2, laterality='L', tumor_side='L'),
        image('p', 0.9, laterality='R', tumor_side='L'),
        image('side unknown', 0.8, laterality='R'),
        image('image unknown', 0.7, laterality=None, tumor_side='L'),
        image('only healthy', 0.9, laterality='R', tumor_side='L'),
    )
    result = read_patients([path], 'N')
    assert result.table.score.to_dict() == {'p': 0.2, 'side unknown': 0.8, 'image unknown': 0.7}
    assert result.flow['images_of_the_other_side'] == 2
    assert result.flow['patients_without_usable_image'] == 1
    assert scores([path], all_sides=True)['p'] == 0.9


def test_only_the_latest_exam_counts_unless_asked_for(tmp_path):
    path = write(
        tmp_path / 'a.csv',
        image('p', 0.9, label=0, exam_id='old', exam_order=1),
        image('p', 0.3, label=1, exam_id='new', exam_order=2),
        image('q', 0.4),
    )
    result = read_patients([path], 'N')
    assert result.table.score.to_dict() == dict(p=0.3, q=0.4)
    assert result.table.label.to_dict() == dict(p=1, q=0)  # the label of the exam that counts
    assert result.flow['images_of_earlier_exams'] == 1


def test_latest_exam_of_the_tumor_side_counts(tmp_path):
    path = write(
        tmp_path / 'a.json',
        image('p', 0.3, exam_id='a', exam_order=1, laterality='L', tumor_side='L'),
        image('p', 0.9, exam_id='b', exam_order=2, laterality='R', tumor_side='L'),
    )
    assert scores([path]) == dict(p=0.3)


def test_label_missing_on_some_images_is_that_of_the_others(tmp_path):
    path = write(
        tmp_path / 'a.json',
        image('p', 0.2, label=None),
        image('p', 0.6, label=1),
        image('q', 0.5, label=None),
    )
    result = read_patients([path], 'N')
    assert result.table.label.loc['p'] == 1
    assert (result.flow['patients_without_label'], result.flow['patients']) == (1, 1)


def test_records_without_the_task_are_counted_among_those_left_out(tmp_path):
    other = image('q', 0.2)
    other['tasks'] = {'LVI': other['tasks']['N']}
    patients = read_patients([write(tmp_path / 'a.json', image('p', 0.1), other)], 'N')
    assert patients.table.index.tolist() == ['p']
    assert (patients.flow['images'], patients.flow['images_without_task']) == (2, 1)
    assert patients.flow['patients_without_usable_image'] == 1


def test_image_whose_task_one_member_of_an_ensemble_has_not_scored_is_refused(tmp_path):
    other = image('q', 0.4, name='q')
    other['tasks'] = {'LVI': other['tasks']['N']}
    files = [
        write(tmp_path / 'a.json', image('p', 0.1, name='p'), image('q', 0.2, name='q')),
        write(tmp_path / 'b.json', image('p', 0.3, name='p'), other),
    ]
    with pytest.raises(PredictionError, match=r'1 images are in fewer of the files .*: q q'):
        read_patients(files, 'N')


def test_files_of_different_patients_are_read_as_one_set(tmp_path):
    files = [write(tmp_path / f'{p}.json', image(p, 0.1)) for p in 'pqr']
    assert read_patients(files, 'N').table.index.tolist() == ['p', 'q', 'r']


def test_flow_adds_up(tmp_path):
    records = [
        image(f'p{i}', 0.1, laterality='LR'[i % 2], tumor_side='L', exam_order=i % 3) for i in range(12)
    ]
    flow = read_patients([write(tmp_path / 'a.json', *records)], 'N').flow
    assert (
        flow['images'] - flow['images_of_the_other_side'] - flow['images_of_earlier_exams']
        == flow['images_used']
    )
    left_out = flow['patients_without_usable_image'] + flow['patients_without_label']
    assert flow['patients_with_images'] - left_out == flow['patients']


def fold(root, outer, inner, part, *records):
    return write(root / f'{outer}/{inner}/{part}.json', *records)


def test_cross_validation_folder_gives_every_patient_its_outer_fold(tmp_path):
    for outer, patient in (('0', 'p'), ('1', 'q')):
        for inner in '01':
            fold(tmp_path, outer, inner, 'test', image(patient, 0.2 + 0.4 * int(inner), name='x'))
            fold(tmp_path, outer, inner, 'val', image(f'dev{outer}{inner}', 0.5))
    result = read_patients([tmp_path], 'N')
    assert result.table.score.to_dict() == pytest.approx(dict(p=0.4, q=0.4))
    assert result.table.fold.to_dict() == dict(p='0', q='1')
    assert result.flow['prediction_files'] == len(result.sources) == 4
    assert sorted(read_patients([tmp_path], 'N', part='val').table.index) == [
        'dev00',
        'dev01',
        'dev10',
        'dev11',
    ]


def test_outside_test_set_is_the_mean_over_all_outer_folds(tmp_path):
    for outer, score in (('0', 0.2), ('1', 0.6)):
        fold(tmp_path, outer, '0', 'test', image('p', score, name='x'))
    table = read_patients([tmp_path], 'N').table
    assert (table.score.loc['p'], table.fold.loc['p']) == (pytest.approx(0.4), '')


def test_development_patient_of_another_outer_fold_is_no_leak(tmp_path):
    fold(tmp_path, '0', '0', 'test', image('p', 0.1))
    fold(tmp_path, '1', '0', 'test', image('q', 0.1))
    fold(tmp_path, '0', '0', 'val', image('q', 0.1))
    development, test = (read_patients([tmp_path], 'N', part=part) for part in ('val', 'test'))
    check_separate(development, test, 'A')


def test_patient_in_development_and_test_of_one_fold_is_listed(tmp_path):
    fold(tmp_path, '0', '0', 'test', image('p', 0.1), image('r', 0.1))
    fold(tmp_path, '1', '0', 'test', image('q', 0.1))
    fold(tmp_path, '0', '0', 'val', image('p', 0.1), image('q', 0.1))
    development, test = (read_patients([tmp_path], 'N', part=part) for part in ('val', 'test'))
    with pytest.raises(
        PredictionError, match='A: 1 patients are in development and test: p in fold 0; split'
    ):
        check_separate(development, test, 'A')


def test_patient_in_development_and_test_file_is_listed(tmp_path):
    test = read_patients([write(tmp_path / 'a.json', image('p', 0.1), image('q', 0.1))], 'N')
    with pytest.raises(PredictionError, match='A: 2 patients are in development and test: p, q'):
        check_separate(test, test, 'A')


@pytest.mark.parametrize(
    ('records', 'message'),
    [
        ([image('p', 0.1, label=0), image('p', 0.2, label=1)], '1 patients have differing labels .*: p$'),
        ([image(None, 0.1, name='x.png')], r'a\.json: 1 records have no patient_id .*: x\.png'),
        ([image('nan', 0.1, name='x.png')], r'a\.json: 1 records have no patient_id .*: x\.png'),
        ([image('p', 0.1, name='x'), image('p', 0.2, name='x')], r'1 records are there twice .*: p 1 x'),
        ([], "none of 0 records has task 'N'; check --task"),
        ([image('p', 0.1, exam_order='late')], 'exam_order: 1 values are no numbers: late of p'),
    ],
)
def test_wrong_predictions_are_refused_with_the_list(tmp_path, records, message):
    with pytest.raises(UserError, match=message):
        read_patients([write(tmp_path / 'a.json', *records)], 'N')


def test_labels_of_other_tasks_are_columns_for_subgroups(tmp_path):
    records = [image('p', 0.1, label=1), image('q', 0.2)]
    records[0]['tasks']['LVI'] = dict(logit=None, pred_score=0.5, gt_label=1)
    table = read_patients([write(tmp_path / 'a.json', *records)], 'N').table
    assert table.LVI.fillna(-1).to_dict() == dict(p=1, q=-1)
    assert table.score.to_dict() == dict(p=0.1, q=0.2)


def test_a_patient_labelled_by_breast_may_take_the_highest_label_of_the_images_used(tmp_path):
    left, right = image('p', 0.1, label=1), image('p', 0.2, label=0, laterality='R')
    unknown = image('p', 0.3, label=None)
    sided = [
        image('q', 0.1, label=1, tumor_side='R'),
        image('q', 0.4, label=0, laterality='R', tumor_side='R'),
    ]
    path = write(tmp_path / 'a.json', left, right, unknown, *sided)
    table = read_patients([path], 'N', patient_label='max').table
    assert table.label.to_dict() == dict(p=1, q=0)  # q's left breast does not decide
    assert table.score.to_dict() == dict(p=0.3, q=0.4)


def test_ensemble_members_that_disagree_on_a_label_are_refused(tmp_path):
    a = write(tmp_path / 'a.json', image('p', 0.1, label=0, name='x'))
    b = write(tmp_path / 'b.json', image('p', 0.1, label=1, name='x'))
    with pytest.raises(PredictionError, match=r'1 images have differing labels.*x'):
        read_patients([a, b], 'N')


def test_patient_in_the_test_part_of_some_outer_folds_only_is_refused(tmp_path):
    for outer, patients in dict(a='pq', b='pr', c='s').items():
        fold(tmp_path, outer, '0', 'test', *(image(p, 0.1) for p in patients))
    with pytest.raises(
        PredictionError,
        match='patients are in the test part of more, or of fewer, outer folds than the others: p',
    ):
        read_patients([tmp_path], 'N')


def test_development_patients_of_several_outer_folds_stay_apart(tmp_path):
    for outer, (own, *others) in dict(a='pqr', b='qpr', c='rpq').items():
        fold(tmp_path, outer, '0', 'test', image(own, 0.1))
        fold(tmp_path, outer, '0', 'val', *(image(p, 0.1) for p in others))
    development = read_patients([tmp_path], 'N', part='val')
    table = development.table
    assert sorted(zip(table.fold, table.index, strict=True)) == [
        ('a', 'q'), ('a', 'r'), ('b', 'p'), ('b', 'r'), ('c', 'p'), ('c', 'q'),
    ]  # fmt: skip
    check_separate(development, read_patients([tmp_path], 'N'), 'A')


def test_folder_without_folds_is_refused(tmp_path):
    with pytest.raises(PredictionError, match=r'expected one <outer>/<inner>/test.json.*there is none'):
        read_patients([tmp_path], 'N')


def test_fold_without_test_predictions_is_named_and_not_left_out(tmp_path):
    for outer in '012':
        fold(tmp_path, outer, '0', 'val', image(f'v{outer}', 0.1))
    for outer in '02':
        fold(tmp_path, outer, '0', 'test', image(f'p{outer}', 0.1))
    with pytest.raises(PredictionError, match=r'1/0 have predictions, but none of the test part'):
        read_patients([tmp_path], 'N')
    assert len(read_patients([tmp_path], 'N', part='val').table) == 3


def test_fold_with_two_forms_of_one_file_is_refused(tmp_path):
    fold(tmp_path, '0', '0', 'test', image('p', 0.1))
    write(tmp_path / '0/0/test.csv', image('p', 0.1))
    with pytest.raises(PredictionError, match=r'test\.csv has a twin of another suffix'):
        read_patients([tmp_path], 'N')


def test_patients_with_images_of_the_other_side_only_leave_an_empty_table_and_a_count(tmp_path):
    path = write(tmp_path / 'a.json', image('p', 0.9, laterality='R', tumor_side='L'))
    result = read_patients([path], 'N')
    assert result.table.empty
    assert (result.flow['patients_without_usable_image'], result.flow['patients']) == (1, 0)


def test_patients_without_usable_image_are_counted_once_in_development_parts_of_several_folds(tmp_path):
    for outer in 'ab':
        fold(tmp_path, outer, '0', 'val', image('p', 0.1), image('q', 0.1))
    assert read_patients([tmp_path], 'N', part='val').flow['patients_without_usable_image'] == 0


def test_a_study_in_development_and_test_is_refused_and_a_path_of_both_is_named(tmp_path, caplog):
    study = '1.2.840.113619.2.401.1'
    development = read_patients(
        [write(tmp_path / 'd.json', image('p', 0.1, name='./x.png', exam_id=study))], 'N'
    )
    other = read_patients([write(tmp_path / 'a.json', image('q', 0.1, name='x.png'))], 'N')
    check_separate(development, other, 'A')
    assert 'A: 1 images are in development and test: x.png' in caplog.text
    same = read_patients([write(tmp_path / 'b.json', image('q', 0.1, exam_id=study))], 'N')
    with pytest.raises(PredictionError, match=f'A: 1 studies are in development and test: {study}'):
        check_separate(development, same, 'A')


def test_with_the_breast_as_unit_each_breast_has_its_score_and_label_whatever_the_tumor_side(tmp_path):
    images = [
        image('p', score, label, laterality=side, tumor_side='L', name=f'{side}{score}')
        for side, label, score in (('L', 1, 0.7), ('L', 1, 0.9), ('R', 0, 0.2))
    ]
    table = read_patients([write(tmp_path / 'a.json', *images)], 'N', unit='breast').table
    assert table.score.to_dict() == {'p L': 0.9, 'p R': 0.2}
    assert table.label.to_dict() == {'p L': 1, 'p R': 0}
    assert set(table.woman) == {'p'}


def test_with_the_breast_as_unit_breasts_are_counted_at_every_step(tmp_path):
    images = [
        image('p', 0.7, 1, laterality='L', name='pL'),
        image('p', 0.2, 0, laterality='R', name='pR'),
        image('q', 0.3, None, laterality='R', name='qR'),
        image('r', 0.3, 0, laterality='R', name='rR'),
        image('s', 0.3, 0, laterality=None, name='s') | dict(tasks={}),
    ]
    flow = read_patients([write(tmp_path / 'a.json', *images)], 'N', unit='breast').flow
    counts = [
        flow[f'patients{step}'] for step in ('_with_images', '_without_usable_image', '_without_label', '')
    ]
    assert counts == [4, 0, 1, 3]


def test_with_the_breast_as_unit_two_breasts_of_one_woman_are_not_on_two_sides(tmp_path):
    paths = [write(tmp_path / f'{side}.json', image('p', 0.1, laterality=side, name=side)) for side in 'LR']
    left, right = (read_patients([path], 'N', unit='breast') for path in paths)
    with pytest.raises(PredictionError, match='A: 1 patients are in development and test: p; split'):
        check_separate(left, right, 'A')


def test_with_the_breast_as_unit_an_image_without_a_side_is_refused(tmp_path):
    path = write(tmp_path / 'a.json', image('p', 0.1, laterality=None))
    with pytest.raises(PredictionError, match=r'1 images have no side \(--unit breast\): p_0'):
        read_patients([path], 'N', unit='breast')


def test_files_that_share_only_some_images_are_no_ensemble(tmp_path):
    both = [image('p', 0.2, name='p'), image('q', 0.6, name='q')]
    a = write(tmp_path / 'a.json', *both)
    b = write(tmp_path / 'b.json', both[0] | dict(tasks=both[1]['tasks']))
    with pytest.raises(PredictionError, match=r'1 images are in fewer of the files than others .*: q q'):
        read_patients([a, b], 'N')
    assert scores([write(tmp_path / 'p.json', both[0]), write(tmp_path / 'q.json', both[1])]) == dict(
        p=0.2, q=0.6
    )
