"""What is wrong with the data is said before training, all of it at once."""

import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from PIL import Image

import mammo.engine.checks.data
import mammo.engine.checks.images
from mammo.engine.checks.data import DataCheckHook
from mammo.engine.checks.images import check_images
from mammo.errors import DataError
from mammo.records.meta import write_meta
from mammo.records.storage.png import ImageFileError


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded."""
    names: list[str] = []
    original = mammo.engine.checks.images.check_image

    def count(path: str) -> None:
        names.append(Path(path).name)
        original(path)

    monkeypatch.setattr(mammo.engine.checks.images, 'check_image', count)
    return names


def make_image(path: Path, size: int = 40) -> str:
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8)).save(path)
    return str(path)


def make_split(
    folder: Path, split: str, patients: list[str], labels: list[dict] | None = None, tasks: Any = ('N',)
) -> Any:
    items = []
    for i, patient in enumerate(patients):
        name = f'{split}{i}.png'
        make_image(folder / name)
        items.append(dict(img_path=name, patient_id=patient, gt_label=(labels or [{}] * len(patients))[i]))
    write_meta(folder / f'{split}.json', items, list(tasks))
    return DATASETS.build(config_of(folder, split))


def config_of(folder: Path, split: str) -> dict:
    return dict(type='MammoMultiTaskDataset', data_root=str(folder), ann_file=f'{split}.json')


def make_runner(
    train: Any, val: Any = None, test_config: dict | None = None, save_best: str | None = None, **kinds: str
) -> Any:
    heads = {task: SimpleNamespace(kind=kind) for task, kind in (kinds or dict(N='binary')).items()}
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=train),
        test_dataloader=SimpleNamespace(dataset=train),
        val_dataloader=SimpleNamespace(dataset=val),
        val_loop=val,
        hooks=[SimpleNamespace(save_best=save_best, key_indicators=[save_best])],
        model=SimpleNamespace(head=SimpleNamespace(task_heads=heads)),
        cfg=Config(dict(test_dataloader=test_config and dict(dataset=test_config))),
    )


def test_missing_and_truncated_images_are_listed_together(tmp_path: Path) -> None:
    train, val = make_split(tmp_path, 'train', ['a', 'b', 'c']), make_split(tmp_path, 'val', ['d'])
    (tmp_path / 'train0.png').unlink()
    data = (tmp_path / 'val0.png').read_bytes()
    (tmp_path / 'val0.png').write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(DataError) as error:
        DataCheckHook().before_train(make_runner(train, val))
    message = str(error.value)
    assert '2 of 4 images cannot be used' in message
    assert 'train0.png: No such file' in message
    assert 'val0.png' in message
    assert 'truncated' in message
    assert 'train1.png' not in message


def test_images_are_not_decoded_when_it_is_switched_off(tmp_path: Path, decoded: list[str]) -> None:
    train = make_split(tmp_path, 'train', ['a'])
    (tmp_path / 'train0.png').unlink()
    DataCheckHook(check_data=False).before_train(make_runner(train))
    assert decoded == []


def test_second_run_decodes_nothing_again(tmp_path: Path, decoded: list[str]) -> None:
    runner = make_runner(make_split(tmp_path, 'train', ['a', 'b']), make_split(tmp_path, 'val', ['c']))
    DataCheckHook().before_train(runner)
    assert sorted(decoded) == ['train0.png', 'train1.png', 'val0.png']
    decoded.clear()
    DataCheckHook().before_train(runner)
    assert decoded == []


def test_changed_file_is_checked_again(tmp_path: Path, decoded: list[str]) -> None:
    paths = [make_image(tmp_path / 'a.png'), make_image(tmp_path / 'b.png')]
    check_images(paths)
    decoded.clear()
    make_image(tmp_path / 'b.png', size=41)
    check_images(paths)
    assert decoded == ['b.png']


def test_damaged_file_is_not_remembered_as_whole(tmp_path: Path, decoded: list[str]) -> None:
    (tmp_path / 'a.png').write_bytes(b'no image')
    for _ in range(2):
        with pytest.raises(DataError, match=r'1 of 1 images cannot be used.*a\.png'):
            check_images([str(tmp_path / 'a.png')])
    assert decoded == ['a.png', 'a.png']


def test_file_found_missing_and_made_later_is_checked(tmp_path: Path, decoded: list[str]) -> None:
    with pytest.raises(DataError, match='No such file'):
        check_images([str(tmp_path / 'a.png')])
    make_image(tmp_path / 'a.png')
    check_images([str(tmp_path / 'a.png')])
    assert decoded == ['a.png', 'a.png']


def test_same_image_named_twice_is_decoded_once(tmp_path: Path, decoded: list[str]) -> None:
    check_images([make_image(tmp_path / 'a.png')] * 3)
    assert decoded == ['a.png']


def test_cache_holds_no_paths(tmp_path: Path, cache_folder: Path) -> None:
    check_images([make_image(tmp_path / 'Anna_Muster.png')])
    texts = [path.read_text() for path in cache_folder.rglob('*') if path.is_file()]
    assert texts
    assert not any('Anna' in text or str(tmp_path) in text for text in texts)


def test_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    check_images([make_image(tmp_path / 'a.png')])
    assert any('cannot remember which images were checked' in line for line in log_lines)


def test_long_list_is_cut(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'25 of 25 images.* and 15 more$'):
        check_images([str(tmp_path / f'{i}.png') for i in range(25)])


def test_patient_in_two_splits_is_a_warning_that_names_it(tmp_path: Path, log_lines: list[str]) -> None:
    train, val = make_split(tmp_path, 'train', ['a', 'p7']), make_split(tmp_path, 'val', ['p7', 'c'])
    DataCheckHook().before_train(make_runner(train, val))
    (line,) = [line for line in log_lines if 'splits share data' in line]
    assert line.startswith('WARNING')
    assert '1 patients are in train and val: p7' in line


def test_patient_in_two_splits_is_an_error_when_strict(tmp_path: Path) -> None:
    train, val = make_split(tmp_path, 'train', ['a', 'p7']), make_split(tmp_path, 'val', ['p7', 'c'])
    with pytest.raises(DataError, match='1 patients are in train and val: p7'):
        DataCheckHook(strict_split=True).before_train(make_runner(train, val))


def test_image_of_the_test_file_in_training_is_found(tmp_path: Path) -> None:
    train = make_split(tmp_path, 'train', ['a', 'b'])
    write_meta(tmp_path / 'test.json', [dict(img_path='train1.png')], ['N'])
    with pytest.raises(DataError, match=r'1 images are in train and test: .*train1\.png'):
        DataCheckHook(strict_split=True).before_train(
            make_runner(train, test_config=config_of(tmp_path, 'test'))
        )


def test_missing_test_file_does_not_stop_training(tmp_path: Path, log_lines: list[str]) -> None:
    train = make_split(tmp_path, 'train', ['a'])
    DataCheckHook(strict_split=True).before_train(make_runner(train, test_config=config_of(tmp_path, 'test')))
    assert any('test split is not checked' in line and 'test.json' in line for line in log_lines)


def test_disjoint_splits_are_silent(tmp_path: Path, log_lines: list[str]) -> None:
    train, val = make_split(tmp_path, 'train', ['a']), make_split(tmp_path, 'val', ['b'])
    make_split(tmp_path, 'test', ['c'])
    hook = DataCheckHook(strict_split=True)
    hook.before_train(make_runner(train, val, test_config=config_of(tmp_path, 'test')))
    assert not [line for line in log_lines if line.startswith('WARNING')]


def test_unknown_patients_are_not_one_patient(tmp_path: Path, log_lines: list[str]) -> None:
    make_split(tmp_path, 'train', ['a']), make_split(tmp_path, 'val', ['b'])
    for split in ('train', 'val'):
        write_meta(tmp_path / f'{split}.json', [dict(img_path=f'{split}0.png', patient_id=None)], ['N'])
    train, val = (DATASETS.build(config_of(tmp_path, split)) for split in ('train', 'val'))
    DataCheckHook(strict_split=True).before_train(make_runner(train, val))


def test_task_mismatch_is_one_warning_with_both_lists(tmp_path: Path, log_lines: list[str]) -> None:
    train, val = (make_split(tmp_path, split, [split], tasks=['N', 'extra']) for split in ('train', 'val'))
    DataCheckHook().before_train(make_runner(train, val, N='binary', LVI='binary'))
    lines = [line for line in log_lines if 'tasks of the config' in line]
    assert len(lines) == 1, 'once, not once per split'
    assert lines[0].startswith('WARNING')
    assert "['N', 'LVI']" in lines[0]
    assert "['N', 'extra']" in lines[0]


@pytest.mark.parametrize('save_best', ['auto', 'N_loss', 'N_roc_auc'])
def test_a_run_that_will_find_no_best_checkpoint_says_so(
    tmp_path: Path, log_lines: list[str], save_best: str
) -> None:
    train = make_split(tmp_path, 'train', ['a', 'b'], [dict(N=0), dict(N=1)], ('N', 'N_2'))
    val = make_split(tmp_path, 'val', ['c', 'd'], [dict(N_2=1), {}], ('N', 'N_2'))
    kinds = dict(N='binary', N_2='binary')
    DataCheckHook().before_train(make_runner(train, val, save_best=save_best, **kinds))
    (line,) = [line for line in log_lines if 'best checkpoint' in line]
    assert 'val: no label of N is known, so no best checkpoint will be saved' in line


@pytest.mark.parametrize('save_best', [None, 'N_2_loss', 'other'])
def test_a_run_that_can_choose_or_need_not_is_silent(
    tmp_path: Path, log_lines: list[str], save_best: str | None
) -> None:
    train = make_split(tmp_path, 'train', ['a', 'b'], [dict(N=0), dict(N=1)], ('N', 'N_2'))
    val = make_split(tmp_path, 'val', ['c', 'd'], [dict(N_2=1), {}], ('N', 'N_2'))
    kinds = dict(N='binary', N_2='binary')
    DataCheckHook().before_train(make_runner(train, val, save_best=save_best, **kinds))
    assert not [line for line in log_lines if 'best checkpoint' in line]


def test_binary_label_other_than_0_and_1_is_an_error_with_item_and_value(tmp_path: Path) -> None:
    train = make_split(tmp_path, 'train', ['a', 'b'], [dict(N=1, age=2), dict(N=2)], tasks=['N', 'age'])
    with pytest.raises(DataError, match=r'train: labels of binary tasks must be 0 or 1: N: item 1 has 2\.0$'):
        DataCheckHook().before_train(make_runner(train, N='binary', age='regression'))


def test_testing_checks_the_test_set(tmp_path: Path) -> None:
    test = make_split(tmp_path, 'test', ['a'])
    (tmp_path / 'test0.png').unlink()
    with pytest.raises(DataError, match=r'test0\.png: No such file'):
        DataCheckHook().before_test(make_runner(test))


def make_list(folder: Path, n_images: int, **arguments: Any) -> Any:
    for i in range(n_images):
        make_image(folder / f'{i}.png')
    (folder / 'list.txt').write_text('\n'.join(f'{i}.png' for i in range(n_images)))
    return DATASETS.build(
        dict(type='MammoPatchDataset', data_root=str(folder), ann_file='list.txt', **arguments)
    )


def pretraining(train: Any) -> Any:
    """A runner as pretraining has it: no validation, and a head that knows no task."""
    runner = make_runner(train)
    runner.model = SimpleNamespace(head=object())
    return runner


def test_unlabelled_list_is_checked_and_all_missing_images_are_listed(
    tmp_path: Path, decoded: list[str]
) -> None:
    train = make_list(tmp_path, 4)
    DataCheckHook(strict_split=True).before_train(pretraining(train))
    assert sorted(decoded) == ['0.png', '1.png', '2.png', '3.png']
    for i in (1, 3):
        (tmp_path / f'{i}.png').unlink()
    with pytest.raises(DataError, match=r'2 of 4 images cannot.*1\.png: No such file.*3\.png: No such file'):
        DataCheckHook().before_train(pretraining(train))


def test_long_list_is_looked_up_and_not_decoded_while_a_short_one_is(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    monkeypatch.setattr(mammo.engine.checks.images, 'MAX_DECODED', 3)
    long = [make_image(tmp_path / f'{i}.png') for i in range(4)]
    (tmp_path / '0.png').write_bytes(b'damaged, met in training')
    short = [make_image(tmp_path / 'val.png')]
    check_images(long, short)
    assert decoded == ['val.png']
    assert any('4 images: checking that they are there, without decoding' in line for line in log_lines)
    (tmp_path / '2.png').unlink()
    long.append(str(tmp_path / 'no_folder' / 'a.png'))
    with pytest.raises(DataError, match=r'2 of 6 images.*2\.png: No such file.*no_folder/a\.png: No such'):
        check_images(long, short)


def test_relative_paths_of_a_long_list_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mammo.engine.checks.images, 'MAX_DECODED', 0)
    monkeypatch.chdir(tmp_path)
    make_image(tmp_path / 'a.png')
    check_images(['a.png'])
    with pytest.raises(DataError, match=r'b\.png'):
        check_images(['a.png', 'b.png'])


def test_images_behind_a_file_backend_are_not_looked_for(
    tmp_path: Path, decoded: list[str], log_lines: list[str]
) -> None:
    packed = dict(type='LoadMammogram', backend_args=dict(backend='lmdb', db_path='none'))
    train = make_list(tmp_path, 2, pipeline=[packed])
    (tmp_path / '0.png').unlink()
    DataCheckHook().before_train(pretraining(train))
    assert decoded == []
    assert any('train: images come from a file backend' in line for line in log_lines)


def test_damaged_images_are_counted_between_epochs(tmp_path: Path, log_lines: list[str]) -> None:
    train = make_list(tmp_path, 5, pipeline=[dict(type='LoadMammogram')])
    hook = DataCheckHook()
    hook.before_train_epoch(pretraining(train))
    assert not [line for line in log_lines if 'damaged' in line]
    (tmp_path / '2.png').write_bytes(b'damaged')
    train[2]
    hook.after_train(pretraining(train))
    assert 'INFO 1 of 5 training images were damaged and replaced' in log_lines


def test_what_processes_found_damaged_is_joined_and_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two processes found one damaged image of five, which is allowed; two are not."""
    train = make_list(tmp_path, 5, pipeline=[dict(type='LoadMammogram')])
    (tmp_path / '2.png').write_bytes(b'damaged')
    train[2]

    def of_two_processes(tensor: Any, op: str) -> None:
        assert op == 'max'
        tensor[4] = 1

    monkeypatch.setattr(mammo.engine.checks.data, 'all_reduce', of_two_processes)
    with pytest.raises(ImageFileError, match=r'2 of 5 training images do not decode.*2\.png, .*4\.png'):
        DataCheckHook().before_train_epoch(pretraining(train))
    assert train.damaged.tolist() == [0, 0, 1, 0, 1], 'known to the workers of this process as well'


def test_datasets_that_count_nothing_are_left_alone() -> None:
    DataCheckHook().before_train_epoch(pretraining(SimpleNamespace()))
