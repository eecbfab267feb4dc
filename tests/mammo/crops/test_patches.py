"""Windows, breast fractions, choice, and whose a patch is."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.crops.patches import (
    PatchSettings,
    breast_fracs,
    choose_windows,
    extract,
    folder_of,
    patients_of_list,
    select,
    window_starts,
)  # fmt: skip
from mammo.records.meta import MetaError
from tests.support.dicom_files import breast_image

SMALL = PatchSettings(size_px=32, stride_px=16)


@pytest.mark.parametrize(
    ('length', 'starts'),
    [(512, [0]), (511, []), (768, [0, 256]), (800, [0, 256, 288]), (1024, [0, 256, 512]), (0, [])],
)
def test_windows_step_by_the_stride_and_the_last_ends_with_the_image(length: int, starts: list[int]) -> None:
    assert window_starts(length, 512, 256).tolist() == starts


@given(length=st.integers(1, 300), size=st.integers(1, 80), stride=st.integers(1, 80))
def test_windows_stay_inside_and_leave_no_gap_wider_than_the_stride(
    length: int, size: int, stride: int
) -> None:
    starts = window_starts(length, size, stride)
    assert (starts.size > 0) == (length >= size)
    if starts.size:
        assert starts[0] == 0
        assert starts[-1] + size == length
        assert ((np.diff(starts) > 0) & (np.diff(starts) <= stride)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(1, 12), stride=st.integers(1, 9))
def test_fractions_are_the_means_of_the_windows(seed: int, size: int, stride: int) -> None:
    mask = np.random.default_rng(seed).random((23, 17)) < 0.4
    tops, lefts = (window_starts(side, size, stride) for side in mask.shape)
    expected = [[mask[y : y + size, x : x + size].mean() for x in lefts] for y in tops]
    assert np.allclose(breast_fracs(mask, tops, lefts, size), expected)


def test_only_windows_with_enough_breast_are_chosen_row_by_row() -> None:
    mask = np.zeros((64, 96), bool)
    mask[:, :48] = True
    assert choose_windows(mask, PatchSettings(size_px=32, stride_px=32), 'a') == [
        (0, 0), (0, 32), (32, 0), (32, 32),
    ]  # fmt: skip
    assert choose_windows(mask, PatchSettings(size_px=32, stride_px=32, min_breast_frac=0.51), 'a') == [
        (0, 0), (32, 0),
    ]  # fmt: skip


def test_choice_is_seeded_by_image_and_differs_between_images_and_seeds() -> None:
    mask = np.ones((200, 200), bool)
    few = [PatchSettings(size_px=32, stride_px=8, max_per_image=5, seed=seed) for seed in (0, 0, 1)]
    first, again, other_seed = (choose_windows(mask, setting, 'a') for setting in few)
    assert len(set(first)) == 5
    assert first == again == sorted(first)
    assert first != other_seed
    assert first != choose_windows(mask, few[0], 'b')


def test_fewer_windows_than_the_maximum_are_all_taken() -> None:
    mask = np.ones((64, 64), bool)
    many = PatchSettings(size_px=32, stride_px=32, max_per_image=9)
    assert choose_windows(mask, many, 'a') == [(0, 0), (0, 32), (32, 0), (32, 32)]


@pytest.mark.parametrize(
    'wrong',
    [dict(size_px=0), dict(stride_px=0), dict(min_breast_frac=1.1), dict(max_per_image=0), dict(seed=-1)],
)
def test_impossible_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf'{next(iter(wrong))}={next(iter(wrong.values()))}'):
        PatchSettings(**wrong)


def write_image(folder: Path, name: str = 'a.png', image: np.ndarray | None = None) -> dict[str, Any]:
    image = (breast_image() // 16).astype(np.uint8) if image is None else image
    cv2.imwrite(str(folder / name), image)
    return dict(img_path=name, patient_id='p1', gt_label={}, spacing_mm=0.5)


def test_patches_are_the_pixels_of_the_image(tmp_path: Path) -> None:
    record = extract(write_image(tmp_path), tmp_path, tmp_path / 'out', SMALL)
    image = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert len(record['patches']) > 10
    assert record['patient_id'] == 'p1'
    for name in record['patches']:
        y, x = (int(part[1:]) for part in Path(name).stem.split('_'))
        patch = cv2.imread(str(tmp_path / 'out' / name), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(patch, image[y : y + 32, x : x + 32])


def test_16_bit_images_give_8_bit_patches(tmp_path: Path) -> None:
    item = write_image(tmp_path, image=breast_image())
    record = extract(item, tmp_path, tmp_path / 'out', SMALL)
    patches = [cv2.imread(str(tmp_path / 'out' / name), cv2.IMREAD_UNCHANGED) for name in record['patches']]
    assert all(patch.dtype == np.uint8 and patch.shape == (32, 32) for patch in patches)
    assert max(patch.max() for patch in patches) > 200


@pytest.mark.parametrize(
    ('image', 'reason', 'message'),
    [
        (np.ones((40, 20), np.uint8), 'TOO_SMALL', '20 x 40 px, a patch has 32'),
        (np.zeros((100, 100), np.uint8), 'NO_BREAST', 'holds values from 0 to 0'),
    ],
)
def test_image_without_patches_says_why(tmp_path: Path, image: np.ndarray, reason: str, message: str) -> None:
    record = extract(write_image(tmp_path, image=image), tmp_path, tmp_path / 'out', SMALL)
    assert record['reason'] == reason
    assert message in record['message']
    assert record['patches'] == []
    assert not (tmp_path / 'out').exists()


def test_missing_and_damaged_images_are_reported_not_raised(tmp_path: Path) -> None:
    (tmp_path / 'b.png').write_bytes(b'no image')
    for name in ('none.png', 'b.png'):
        record = extract(dict(img_path=name), tmp_path, tmp_path / 'out', SMALL)
        assert record['reason'] == 'UNREADABLE'
        assert name in record['message']


def test_no_window_with_enough_breast_is_a_reason(tmp_path: Path) -> None:
    strict = PatchSettings(size_px=150, stride_px=150, min_breast_frac=1.0)
    record = extract(write_image(tmp_path), tmp_path, tmp_path / 'out', strict)
    assert (record['reason'], record['message']) == ('NO_WINDOW', 'no window shows at least 100% breast')


def test_folders_of_like_named_images_differ_and_are_plain() -> None:
    names = ['a/x.png', 'b/x.png', 'a/x.jpg', 'a/ü x\n.png']
    folders = [folder_of(name) for name in names]
    assert len(set(folders)) == 4
    assert all(folder.startswith('png/') and folder.isascii() and ' ' not in folder for folder in folders)


def items(**patients: str | None) -> list[dict[str, Any]]:
    return [dict(img_path=f'{name}.png', patient_id=patient) for name, patient in patients.items()]


def test_excluded_patients_and_files_are_left_out_and_images_come_once() -> None:
    chosen = select([items(a='1', b='2'), items(b='2', c='3', d='4')], items(x='3', d='9'))
    assert [item['img_path'] for item in chosen] == ['a.png', 'b.png']


def test_unknown_patients_are_allowed_unless_some_are_excluded() -> None:
    assert len(select([items(a=None, b='1')], [])) == 2
    with pytest.raises(MetaError, match=r'1 images have no patient_id, for example a\.png'):
        select([items(a=None, b='1')], items(c='2'))
    with pytest.raises(MetaError, match=r'for example c\.png'):
        select([items(b='1')], items(c=None))


def write_list(folder: Path, lines: list[str], **owners: str | None) -> Path:
    sources = [dict(folder=f'png/{name}', patient_id=owner) for name, owner in owners.items()]
    (folder / 'patches.json').write_text(json.dumps(dict(sources=sources)))
    (folder / 'list.txt').write_text('\n'.join(lines))
    return folder / 'list.txt'


def test_patients_of_a_list_are_those_of_its_lines_only(tmp_path: Path) -> None:
    path = write_list(tmp_path, ['png/a/1.png', '', 'png/a/2.png', 'png/b/1.png\r'], a='1', b='2', c='3')
    assert patients_of_list(path) == {'1', '2'}


def test_list_whose_patients_are_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MetaError, match=r'1 images have no patient in patches\.json, for example png/b'):
        patients_of_list(write_list(tmp_path, ['png/a/1.png', 'png/b/1.png'], a='1', b=None))
    with pytest.raises(MetaError, match='for example other'):
        patients_of_list(write_list(tmp_path, ['other/1.png'], a='1'))


@pytest.mark.parametrize('content', [None, 'no json', '[]', '{"sources": [{}]}', '{}'])
def test_list_without_record_is_refused(tmp_path: Path, content: str | None) -> None:
    path = write_list(tmp_path, ['png/a/1.png'], a='1')
    (tmp_path / 'patches.json').unlink()
    if content:
        (tmp_path / 'patches.json').write_text(content)
    with pytest.raises(MetaError, match=r'list\.txt: cannot tell whose patches these are.*patches\.json'):
        patients_of_list(path)
