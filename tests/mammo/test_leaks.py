"""Nothing that tells of a woman, or shows her, is on two sides without being named."""

from pathlib import Path

import pytest

from mammo import leaks
from mammo.errors import DataError
from mammo.leaks import identical_files, named_by_content, refuse_shared, shared, traces_of

STUDY = '1.2.840.113619.2.401.1'


def item(path: str, patient: str | None = None, **others: str) -> dict:
    return dict(img_path=path, patient_id=patient, gt_label={}, **others)


def files(folder: Path, **contents: bytes) -> None:
    for name, content in contents.items():
        (folder / f'{name}.png').write_bytes(content)


def test_sides_without_anything_in_common_pass() -> None:
    sides = dict(train=traces_of([item('a.png', 'A')]), val=traces_of([item('b.png', 'B')]))
    assert shared(sides) == []
    refuse_shared(sides)


def test_a_patient_on_two_sides_is_refused_with_both_sides_and_the_remedy() -> None:
    sides = dict(train=traces_of([item('a.png', 'A')]), val=traces_of([item('b.png', 'A')]))
    with pytest.raises(
        DataError, match=r'^leak check: 1 patients are in fold 0/1: train and val: A; one wom'
    ):
        refuse_shared(sides, 'fold 0/1: ')


def test_images_without_a_patient_are_not_one_patient() -> None:
    assert shared(dict(a=traces_of([item('a.png'), item('c.png')]), b=traces_of([item('b.png', '')]))) == []


@pytest.mark.parametrize('other', ['./x/a.png', 'x//a.png', 'x/./a.png'])
def test_two_spellings_of_a_path_are_one_image(other: str) -> None:
    sides = dict(train=traces_of([item('x/a.png', 'A')]), test=traces_of([item(other, 'B')]))
    assert shared(sides) == ['1 images are in train and test: x/a.png']


def test_the_same_name_in_two_folders_is_two_images() -> None:
    sides = dict(a=traces_of([item('1.png', 'A')], 'site_a'), b=traces_of([item('1.png', 'B')], 'site_b'))
    assert shared(sides) == []


def test_identical_files_under_new_names_are_one_image(tmp_path: Path) -> None:
    files(tmp_path, a=b'same', b=b'same', c=b'else', d=b'other size')
    sides = dict(
        train=traces_of([item('a.png', 'A'), item('d.png', 'D')], tmp_path),
        test=traces_of([item('b.png', 'B'), item('c.png', 'C')], tmp_path),
    )
    assert shared(sides) == []
    expected = f'1 images are in train and test: {tmp_path}/a.png = {tmp_path}/b.png'
    assert shared(named_by_content(sides)) == [expected]


def test_files_that_differ_only_outside_their_middle_are_not_identical(tmp_path: Path) -> None:
    tail = bytes(3 * leaks.SAMPLE_BYTES)
    files(tmp_path, a=b'1' + tail, b=b'2' + tail, c=tail + b'3', d=b'1' + tail)
    paths = [str(tmp_path / f'{name}.png') for name in 'abcd']
    assert identical_files(paths) == [[paths[0], paths[3]]]


def test_files_of_different_sizes_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, a=b'1', b=b'12', c=b'123')
    monkeypatch.setattr(leaks, '_sample', None)
    assert identical_files(str(path) for path in tmp_path.iterdir()) == []


def test_missing_files_are_known_by_their_path_only(tmp_path: Path) -> None:
    assert identical_files([str(tmp_path / 'a.png'), str(tmp_path / 'b.png')]) == []


@pytest.mark.parametrize('field', ['study_uid', 'StudyInstanceUID', 'exam_id'])
def test_a_study_of_two_patients_is_refused_on_one_side_and_found_on_two(field: str) -> None:
    first, second = item('a.png', 'A', **{field: STUDY}), item('b.png', 'B', **{field: STUDY})
    with pytest.raises(DataError, match=rf'study {STUDY} belongs to patients A and B'):
        traces_of([first, second])
    sides = dict(train=traces_of([first]), test=traces_of([second]))
    assert shared(sides) == [f'1 studies are in train and test: {STUDY}']


def test_exam_numbers_of_two_patients_are_not_one_study() -> None:
    assert traces_of([item('a.png', 'A', exam_id='1'), item('b.png', 'B', exam_id='1')]).studies == {}


def test_what_three_sides_share_is_said_for_each_set_of_sides() -> None:
    a, b = item('a.png', 'A'), item('b.png', 'B')
    sides = dict(x=traces_of([a]), y=traces_of([a, b]), z=traces_of([b]))
    assert shared(sides) == [
        '1 patients are in x and y: A',
        '1 patients are in y and z: B',
        '1 images are in x and y: a.png',
        '1 images are in y and z: b.png',
    ]


def test_a_long_list_is_cut_with_the_number_of_the_rest() -> None:
    sides = {str(i): traces_of([item(f'{j}.png') for j in (i, i + 1)]) for i in range(8)}
    with pytest.raises(DataError, match=r'4 and 5: 5\.png and 2 more; one woman'):
        refuse_shared(sides)
