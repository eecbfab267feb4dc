"""tools/extract_patches.py from the command line."""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mammo.crops import patches
from mammo.records.meta import write_meta
from tests.support.dicom_files import breast_image
from tools import extract_patches

OPTIONS = ['--size', '64', '--stride', '32', '--max-per-image', '6']


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three patients, a second meta file, an image smaller than a patch, and a black one."""
    folder, rng = tmp_path / 'data', np.random.default_rng(0)
    folder.mkdir()
    for i in range(4):
        noise = rng.integers(0, 200, breast_image().shape)
        cv2.imwrite(
            str(folder / f'i{i}.png'),
            np.where(breast_image() > 0, breast_image() + noise, 0).astype(np.uint16),
        )
    cv2.imwrite(str(folder / 'small.png'), np.full((40, 40), 9, np.uint8))
    cv2.imwrite(str(folder / 'black.png'), np.zeros((200, 200), np.uint8))
    items = [dict(img_path=f'i{i}.png', patient_id=f'p{i // 2}', spacing_mm=0.5) for i in range(4)]
    others = [dict(img_path=f'{name}.png', patient_id='p3') for name in ('small', 'black')]
    write_meta(folder / 'meta.json', items + others, [])
    write_meta(folder / 'test.json', [items[2]], [])
    return folder


def call(tool: Any, *args: Any) -> int:
    old, sys.argv = sys.argv, ['tool', *map(str, args)]
    try:
        tool.main()
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = old
    return 0


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def test_list_record_and_files_agree(data: Path, capsys: pytest.CaptureFixture) -> None:
    out = data.parent / 'out'
    assert call(extract_patches, data / 'meta.json', '--out-dir', out, *OPTIONS) == 0
    lines = (out / 'list.txt').read_text().splitlines()
    record = json.loads((out / 'patches.json').read_text())
    assert sorted(lines) == sorted(str(path.relative_to(out)) for path in out.rglob('*.png'))
    assert len(lines) == 24
    assert record['counts'] == dict(
        images=6, excluded=0, with_patches=4, patches=24, TOO_SMALL=1, NO_BREAST=1
    )
    assert record['settings']['size_px'] == 64
    assert [row['img_path'] for row in record['skipped']] == ['small.png', 'black.png']
    assert patches.patients_of_list(out / 'list.txt') == {'p0', 'p1'}
    assert '24 patches of 6 images' in capsys.readouterr().out


def test_two_runs_leave_identical_bytes_whatever_the_workers(data: Path) -> None:
    for name, options in dict(a=[], b=['--workers', '3']).items():
        assert (
            call(extract_patches, data / 'meta.json', '--out-dir', data.parent / name, *OPTIONS, *options)
            == 0
        )
    assert content(data.parent / 'a') == content(data.parent / 'b')
    before = content(data.parent / 'a')
    for option in ('--resume', '--fresh'):
        args = [data / 'meta.json', '--out-dir', data.parent / 'a', *OPTIONS, option]
        assert call(extract_patches, *args) == 0
        assert content(data.parent / 'a') == before


def test_used_folder_is_refused_and_keeps_what_it_holds(data: Path, capsys: pytest.CaptureFixture) -> None:
    out = data.parent / 'out'
    call(extract_patches, data / 'meta.json', '--out-dir', out, *OPTIONS)
    before = content(out)
    assert call(extract_patches, data / 'test.json', '--out-dir', out, *OPTIONS) == 2
    assert 'go on with --resume, start anew with --fresh' in capsys.readouterr().err
    assert call(extract_patches, data / 'meta.json', '--out-dir', out, '--size', '32', '--resume') == 2
    assert 'size_px 64 -> 32' in capsys.readouterr().err
    assert content(out) == before


def test_files_of_the_user_survive_a_fresh_start_and_are_never_replaced(
    data: Path, capsys: pytest.CaptureFixture
) -> None:
    out = data.parent / 'out'
    call(extract_patches, data / 'meta.json', '--out-dir', out, *OPTIONS)
    own = next(path for path in out.rglob('*.png')).parent / 'own.png'
    own.write_text('mine')
    assert call(extract_patches, data / 'test.json', '--out-dir', out, *OPTIONS, '--fresh') == 0
    assert own.read_text() == 'mine'
    assert patches.patients_of_list(out / 'list.txt') == {'p1'}
    assert len(list(out.rglob('y*.png'))) == 6, 'those of the first run are gone'
    other = data.parent / 'other'
    other.mkdir()
    (other / 'list.txt').write_text('mine')
    assert call(extract_patches, data / 'meta.json', '--out-dir', other, *OPTIONS) == 2
    assert 'list.txt: not made by this tool' in capsys.readouterr().err
    assert (other / 'list.txt').read_text() == 'mine'


def test_folder_that_holds_the_images_is_refused(data: Path, capsys: pytest.CaptureFixture) -> None:
    before = content(data)
    assert call(extract_patches, data / 'meta.json', '--out-dir', data, *OPTIONS) == 2
    assert 'holds inputs, such as' in capsys.readouterr().err
    assert {name: text for name, text in content(data).items() if name != '.lock'} == before


def test_resumed_run_redoes_only_images_that_have_changed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = [data / 'meta.json', '--out-dir', data.parent / 'out', *OPTIONS]
    call(extract_patches, *args)
    cv2.imwrite(str(data / 'i1.png'), cv2.imread(str(data / 'i0.png'), cv2.IMREAD_UNCHANGED))
    redone, original = [], patches.read_grey
    monkeypatch.setattr(patches, 'read_grey', lambda path: redone.append(path.name) or original(path))
    assert call(extract_patches, *args, '--resume') == 0
    assert redone == ['i1.png']


def test_killed_run_leaves_no_list_and_the_next_run_the_same_bytes(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole = data.parent / 'out', data.parent / 'whole'
    for folder in (out, whole):
        call(extract_patches, data / 'meta.json', '--out-dir', folder, *OPTIONS)
    original, calls = patches.write_png, []
    (out / 'list.txt').touch()
    for path in out.rglob('y*.png'):
        path.unlink()

    def die_after_nine(path: Path, image: np.ndarray) -> None:
        calls.append(path)
        if len(calls) > 9:
            raise KeyboardInterrupt
        original(path, image)

    monkeypatch.setattr(patches, 'write_png', die_after_nine)
    args = [data / 'meta.json', '--out-dir', out, *OPTIONS, '--resume']
    assert call(extract_patches, *args) == 130
    assert not (out / 'list.txt').exists(), 'a list of another run must not name these patches'
    assert not (out / 'patches.json').exists()
    monkeypatch.undo()
    assert call(extract_patches, *args) == 0
    assert content(out) == content(whole)


def test_patients_of_excluded_files_give_no_patch(data: Path) -> None:
    out = data.parent / 'out'
    args = [data / 'meta.json', '--out-dir', out, *OPTIONS, '--exclude', data / 'test.json']
    assert call(extract_patches, *args) == 0
    assert patches.patients_of_list(out / 'list.txt') == {'p0'}
    record = json.loads((out / 'patches.json').read_text())
    assert record['counts']['excluded'] == 2
    assert not [row for row in record['sources'] if row['patient_id'] == 'p1']


def test_several_meta_files_and_another_data_root(data: Path) -> None:
    metas = data.parent / 'metas'
    for name, images in dict(a=['i0', 'i1'], b=['i1', 'i2']).items():
        write_meta(metas / f'{name}.json', [dict(img_path=f'{i}.png', spacing_mm=0.5) for i in images], [])
    args = [metas / 'a.json', metas / 'b.json', '--data-root', data, '--out-dir', data.parent / 'out']
    assert call(extract_patches, *args, *OPTIONS) == 0
    assert json.loads((data.parent / 'out' / 'patches.json').read_text())['counts']['images'] == 3


def test_no_patch_at_all_is_exit_code_1(data: Path) -> None:
    assert call(extract_patches, data / 'meta.json', '--out-dir', data.parent / 'out', '--size', 4000) == 1


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--size', '0'], 'size_px=0'),
        (['--workers', '0'], '--workers is 0'),
        (['--exclude', 'x.json'], 'no such meta'),
    ],
)
def test_wrong_usage_is_one_message(
    data: Path, args: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert call(extract_patches, data / 'meta.json', '--out-dir', data.parent / 'out', *args) == 2
    assert message in capsys.readouterr().err


def test_path_that_leaves_the_data_root_is_reported_and_nothing_is_written(
    data: Path, capsys: pytest.CaptureFixture
) -> None:
    (data / 'evil.json').write_text('{"data_list": [{"img_path": "../../etc/passwd"}]}')
    assert call(extract_patches, data / 'evil.json', '--out-dir', data.parent / 'out') == 2
    assert "the image path is '../../etc/passwd'" in capsys.readouterr().err
    assert not (data.parent / 'out').exists()


def test_file_that_is_no_image_is_never_copied(data: Path) -> None:
    """An absolute path is legal, but only pixels come out of it."""
    (data.parent / 'secret').write_text('root:x:0:0')
    write_meta(
        data / 'evil.json', [dict(img_path=str(data.parent / 'secret')), dict(img_path='/dev/zero')], []
    )
    assert call(extract_patches, data / 'evil.json', '--out-dir', data.parent / 'out') == 1
    reasons = json.loads((data.parent / 'out' / 'patches.json').read_text())['skipped']
    assert [row['reason'] for row in reasons] == ['UNREADABLE', 'UNREADABLE']
    assert not any(b'root:x' in data for data in content(data.parent / 'out').values())


@pytest.mark.real_data
def test_real_films_of_8_and_16_bits_give_patches(real_data: Path, tmp_path: Path) -> None:
    exam = [
        dict(img_path=f'nyu_gmic_sample/images/0_{s}-{v}.png', patient_id='0')
        for s in 'LR'
        for v in ('CC', 'MLO')
    ]
    films = [
        dict(img_path=f'mini_mias/images/mdb{i:03d}.png', patient_id=str(i), spacing_mm=0.2) for i in (1, 2)
    ]
    write_meta(tmp_path / 'meta.json', exam + films, [])
    args = [
        tmp_path / 'meta.json',
        '--data-root',
        real_data,
        '--out-dir',
        tmp_path / 'out',
        '--max-per-image',
        8,
    ]
    assert call(extract_patches, *args) == 0
    counts = json.loads((tmp_path / 'out' / 'patches.json').read_text())['counts']
    assert counts['with_patches'] == 6
    for path in (tmp_path / 'out').rglob('*.png'):
        patch = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert (patch.dtype, patch.shape) == (np.uint8, (512, 512))
        assert patch.max() > 60
