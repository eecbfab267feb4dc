"""The leak check refuses every way in which a test patient could have been seen."""

import itertools
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mammo.crossval.checks import check_fusion, check_labels, check_leaks, check_one_label, check_subgroups
from mammo.crossval.folds import Part, read_folds, read_part, selected
from mammo.errors import DataError, UserError
from mammo.fusion.build import read_labels
from mammo.fusion.schema import Schema
from mammo.leaks import traces_of
from mammo.records.meta import read_meta, write_meta


def items(names: str, prefix: str = '') -> list[dict]:
    return [
        dict(img_path=f'{prefix}{name}.png', patient_id=name, gt_label=dict(N=i % 2))
        for i, name in enumerate(names)
    ]


HALVES = ('abcdefgh', 'ijklmnop')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """2 x 2 folds of 16 patients."""
    for outer, inner in itertools.product(range(2), repeat=2):
        rest = HALVES[1 - outer]
        val, train = (rest[:4], rest[4:])[:: 1 if inner else -1]
        for part, names in dict(train=train, val=val, test=HALVES[outer]).items():
            write_meta(tmp_path / f'folds/{outer}/{inner}/{part}.json', items(names), ['N'])
    return tmp_path / 'folds'


def outside(names: str, prefix: str = 'outside_') -> Part:
    return Part(traces_of(items(names, prefix)), {})


def test_clean_folds_pass_and_are_counted(root: Path) -> None:
    folds = read_folds(root)
    assert [fold.name for fold in folds] == ['0/0', '0/1', '1/0', '1/1']
    counts = check_leaks(folds, {'site': outside('xyz')})
    assert (counts['folds'], counts['patients'], counts['external_patients']) == (4, 16, {'site': 3})


def test_ids_that_look_alike_are_named_and_with_strict_refused(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    external = {'site': outside('Ax')}
    check_leaks(read_folds(root), external)
    assert 'leak check: ids that differ only by case' in caplog.text
    with pytest.raises(
        UserError, match=r"leak check: ids that differ only by case.*: 'A' and 'a'.*; if it is"
    ):
        check_leaks(read_folds(root), external, strict=True)


def test_outer_fold_10_comes_after_9(tmp_path: Path) -> None:
    for outer in (10, 9):
        for part in ('train', 'val', 'test'):
            write_meta(tmp_path / f'{outer}/0/{part}.json', items('ab'), ['N'])
    assert [fold.outer for fold in read_folds(tmp_path)] == ['9', '10']


@pytest.mark.parametrize('part', ['train', 'val'])
def test_a_test_patient_in_development_of_the_fold_is_refused(root: Path, part: str) -> None:
    shared = read_part(root / '1/0/test.json').patients
    write_meta(root / f'1/0/{part}.json', items(''.join(sorted(shared)), 'other'), ['N'])
    with pytest.raises(DataError, match=f'leak check: 8 patients are in fold 1/0: {part} and test: i'):
        check_leaks(read_folds(root), {})


def test_a_patient_in_train_and_val_is_refused(root: Path) -> None:
    patient = min(read_part(root / '0/1/train.json').patients)
    val = items(''.join(read_part(root / '0/1/val.json').patients)) + items(patient, 'second_')
    write_meta(root / '0/1/val.json', val, ['N'])
    with pytest.raises(
        DataError,
        match=f'1 patients are in fold 0/1: train and val: {patient}; one woman belongs',
    ):
        check_leaks(read_folds(root), {})


def test_an_image_of_two_patients_on_two_sides_is_refused(root: Path) -> None:
    image = min(read_part(root / '0/0/train.json').traces.images)
    extra = dict(img_path=image, patient_id='new', gt_label={})
    write_meta(
        root / '0/0/val.json', [*items(''.join(read_part(root / '0/0/val.json').patients)), extra], ['N']
    )
    with pytest.raises(DataError, match=f'1 images are in fold 0/0: train and val: {image}'):
        check_leaks(read_folds(root), {})


def test_test_parts_that_differ_within_an_outer_fold_are_refused(root: Path) -> None:
    patients = sorted(read_part(root / '0/1/test.json').patients)
    write_meta(root / '0/1/test.json', items(''.join(patients[1:])), ['N'])
    with pytest.raises(DataError, match=f'1 patients are in the test parts of 0/1 and of .*: {patients[0]}'):
        check_leaks(read_folds(root), {})


def test_a_patient_tested_in_two_outer_folds_is_refused(tmp_path: Path) -> None:
    for outer, train in enumerate('ab'):
        for part, names in dict(train=train, val='cd'[outer], test='x').items():
            write_meta(tmp_path / f'{outer}/0/{part}.json', items(names), ['N'])
    with pytest.raises(DataError, match='1 patients are in the tests of outer folds 0 and 1: x'):
        check_leaks(read_folds(tmp_path), {})


def test_each_partition_of_repeated_folds_tests_every_patient_once(root: Path) -> None:
    for outer in '01':
        shutil.copytree(root / outer, root / f'r1f{outer}')
        (root / outer).rename(root / f'r0f{outer}')
    assert check_leaks(read_folds(root), {})['folds'] == 8
    shutil.rmtree(root / 'r1f0')
    with pytest.raises(DataError, match='8 patients are in no test part of any outer fold of r1: a'):
        check_leaks(read_folds(root), {})


def test_a_patient_who_is_never_tested_is_refused(root: Path) -> None:
    train = items(''.join(read_part(root / '0/0/train.json').patients))
    write_meta(root / '0/0/train.json', [*train, *items('z')], ['N'])
    with pytest.raises(DataError, match='1 patients are in no test part of any outer fold: z'):
        check_leaks(read_folds(root), {})


def test_an_external_patient_in_development_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match='1 patients are in the folds and external set site_b: c'):
        check_leaks(read_folds(root), {'site_b': outside('cz')})


def test_a_development_image_in_an_external_set_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r'1 images are in the folds and external set site_b: c\.png'):
        check_leaks(read_folds(root), {'site_b': Part(traces_of([dict(img_path='./c.png')]), frozenset())})


def test_identical_images_under_other_names_are_refused_in_folds_and_external_sets(root: Path) -> None:
    site = root.parent / 'site'
    site.mkdir()
    for name, content in dict(a='1', b='2', c='3', k='4').items():
        (root.parent / f'{name}.png').write_text(content)
    write_meta(site / 'meta.json', items('z'), ['N'])
    (site / 'z.png').write_text('5')
    folds, external = read_folds(root, root.parent), {'site': read_part(site / 'meta.json', site)}
    check_leaks(folds, external)
    (site / 'z.png').write_text('4')
    with pytest.raises(DataError, match=r'the folds and external set site: .*/k\.png = .*/site/z\.png'):
        check_leaks(folds, external)
    (root.parent / 'k.png').write_text('1')
    with pytest.raises(DataError, match=r'fold 0/0: train and test: .*/a\.png = .*/k\.png'):
        check_leaks(folds, {})


def test_two_external_sets_with_the_same_women_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match='1 patients are in external set b and external set c: y'):
        check_leaks(read_folds(root), {'b': outside('xy'), 'c': outside('yz', 'c_')})


@pytest.mark.parametrize('patient', ['c', 'z'])
def test_a_patient_whom_the_backbone_was_pretrained_on_is_refused(root: Path, patient: str) -> None:
    external = {'site_b': outside('z')}
    with pytest.raises(
        DataError, match=f'1 patients are in the pretraining list and the test patients: {patient}'
    ):
        check_leaks(read_folds(root), external, {patient, 'someone else'})


def test_a_folder_without_folds_names_the_tool_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no <outer>/<inner>/train.json; make the folds with tools/split.py'):
        read_folds(tmp_path)


TASKS = dict(N='binary')


def relabel(path: Path, **labels: float) -> None:
    """Give all images of a part these labels, and no others."""
    content = read_meta(path)
    write_meta(path, [item | dict(gt_label=labels) for item in content['data_list']], [*labels])


def test_all_parts_to_learn_from_without_the_main_task_are_refused_together(root: Path) -> None:
    check_labels(read_folds(root), TASKS, 'N')
    for part in ('0/1/train', '1/0/val'):
        relabel(root / f'{part}.json', LVI=1)
    with pytest.raises(
        DataError,
        match=r"0/1/train.json: no image has a label 'N' \(known: \['LVI'\]\); \S+1/0/val.json: no image has",
    ):
        check_labels(read_folds(root), TASKS, 'N')


def test_subgroups_that_no_image_tells_are_refused_before_training(root: Path) -> None:
    path = root / '1/0/test.json'
    told = [item | dict(clinic_vars=dict(age=61.0)) for item in read_meta(path)['data_list']]
    write_meta(path, told, ['N'])
    check_subgroups(read_folds(root), ['age', 'laterality', 'N'])
    with pytest.raises(
        DataError, match='--subgroup machine: of no image of the test parts; there are N, age,'
    ):
        check_subgroups(read_folds(root), ['age', 'machine'])


@pytest.mark.parametrize(('tumor_side', 'unit', 'is_refused'), [
    (None, 'patient', True), ('L', 'patient', False), (None, 'breast', False),
])  # fmt: skip
def test_test_patients_whose_images_differ_in_their_label_are_refused_before_training(
    root: Path, tumor_side: str | None, unit: str, is_refused: bool
) -> None:
    path = root / '1/0/test.json'
    both = [item | dict(laterality='L', tumor_side=tumor_side) for item in read_meta(path)['data_list']]
    other = both[0] | dict(img_path='other.png', laterality='R', gt_label=dict(N=1))
    write_meta(path, [*both, other], ['N'])
    if not is_refused:
        check_one_label(read_folds(root), 'N', unit)
        return
    with pytest.raises(
        DataError, match=r"1 of 16 patients .* differing labels 'N': i; .*--patient-label max"
    ):
        check_one_label(read_folds(root), 'N', unit)


def test_folds_that_learn_from_one_class_are_refused_together(root: Path) -> None:
    for part in ('0/1/train', '1/1/train', '1/1/val'):
        relabel(root / f'{part}.json', N=0)
    with pytest.raises(
        DataError, match=r"0/1/train.json: all labels 'N' are 0, .*1/1/train.json: all"
    ) as error:
        check_labels(read_folds(root), TASKS, 'N')
    assert 'val.json' not in str(error.value)  # a loss is defined there
    check_labels(read_folds(root), dict(N='regression'), 'N')


def test_a_label_that_no_test_part_has_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"no test part has a label 'LVI' \(known: \['N'\]\); choose another"):
        check_labels(read_folds(root), TASKS, 'LVI')


SCHEMA = Schema.from_dict(
    dict(
        patient_id='patient_id',
        variables=[
            dict(name='age', column='age', kind='continuous', unit='years', range=[18, 110]),
            dict(name='er', column='er', kind='binary', levels=[['0'], ['1']]),
        ],
    )
)


@pytest.fixture
def values() -> pd.DataFrame:
    return pd.DataFrame(dict(age=50.0, er=1.0), index=list(''.join(HALVES)))


def test_folds_in_which_the_fusion_can_be_fitted_pass(root: Path, values: pd.DataFrame) -> None:
    relabel(root / '1/1/test.json', N=0)  # is only scored
    check_fusion(read_folds(root), values, SCHEMA, 'N')


def test_all_folds_in_which_the_fusion_lacks_a_class_are_named(root: Path, values: pd.DataFrame) -> None:
    relabel(root / '0/1/val.json', N=1)
    relabel(root / '1/0/train.json', N=0)
    with pytest.raises(
        DataError,
        match=r"cannot be fitted: \S+0/1/val.json: all labels 'N' are 1, .*; \S+1/0/train.json: all",
    ):
        check_fusion(read_folds(root), values, SCHEMA, 'N')


def test_an_outer_fold_with_one_inner_fold_has_no_fusion(root: Path, values: pd.DataFrame) -> None:
    folds = [fold for fold in read_folds(root) if fold.name != '1/1']
    with pytest.raises(DataError, match=r'cannot be fitted: outer fold 1 has one inner fold, two are needed'):
        check_fusion(folds, values, SCHEMA, 'N')


def test_all_folds_in_which_a_variable_has_no_value_are_named(root: Path, values: pd.DataFrame) -> None:
    learners = sorted(read_part(root / '1/0/train.json').patients)
    values.loc[learners, 'er'] = None
    with pytest.raises(
        DataError, match=r"cannot be fitted: fold 1/0: \['er'\]: no value in 4 train patients"
    ):
        check_fusion(read_folds(root), values, SCHEMA, 'N')


def test_a_missing_part_is_named(root: Path) -> None:
    (root / '0/1/val.json').unlink()
    with pytest.raises(DataError, match=r'0/1: val.json missing'):
        read_folds(root)


def test_images_without_a_patient_are_refused(tmp_path: Path) -> None:
    write_meta(tmp_path / 'a.json', [dict(img_path='a.png', gt_label={})], ['N'])
    with pytest.raises(DataError, match=r'a.json: 1 images have no patient_id: a.png'):
        read_part(tmp_path / 'a.json')


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    write_meta(tmp_path / 'a.json', [], ['N'])
    with pytest.raises(DataError, match=r'a.json: it has no image'):
        read_part(tmp_path / 'a.json')


def test_only_selects_folds_in_their_order(root: Path) -> None:
    assert [fold.name for fold in selected(read_folds(root), '1/0, 0/1')] == ['0/1', '1/0']


def test_only_with_an_unknown_fold_lists_those_there_are(root: Path) -> None:
    with pytest.raises(DataError, match='--only 2/0: no such fold; there are 0/0, 0/1, 1/0, 1/1'):
        selected(read_folds(root), '0/0,2/0')


def test_the_fusion_takes_the_highest_label_of_a_patient_where_the_report_does(tmp_path: Path) -> None:
    images = [dict(img_path=f'{i}.png', patient_id='p', gt_label=dict(N=i)) for i in (0, 1)]
    images.append(dict(img_path='q.png', patient_id='q', gt_label={}))
    write_meta(tmp_path / 'train.json', images, ['N'])
    with pytest.raises(UserError, match='1 patients with several values of N'):
        read_labels(tmp_path / 'train.json', 'N')
    labels = read_labels(tmp_path / 'train.json', 'N', 'max')
    assert labels['p'] == 1
    assert pd.isna(labels['q'])
