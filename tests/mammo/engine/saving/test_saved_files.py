"""What is on the disk while checkpoints are written, damaged, refused and found again."""

import errno
import itertools
import os
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mammo.engine.loading.checkpoint import CheckpointError, load_from_file, load_from_trusted_file
from mammo.engine.saving.files import (
    LOCK,
    HashedBackend,
    checkpoint_folder,
    clean,
    find_intact,
    locked,
    resumable,
)
from mammo.errors import UserError
from mammo.records.storage import files as files_module
from mammo.records.storage.files import hash_problem, sha256_of, sidecar_of
from tests.support.tiny_run import PowerCut, tiny_config, train


def flip_bit(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 4
    path.write_bytes(content)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / 'epoch_1.pth'
    HashedBackend().put(b'old', path)
    return path


def test_hash_is_the_one_that_sha256sum_checks(file: Path) -> None:
    done = subprocess.run(
        ['sha256sum', '-c', 'epoch_1.pth.sha256'], cwd=file.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, 'epoch_1.pth: OK\n')
    assert (
        sha256_of(file) == 'cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4'
    )  # echo -n old


@pytest.mark.parametrize('had_hash', [True, False])
def test_write_that_ends_anywhere_leaves_a_whole_file_with_its_hash(
    file: Path, monkeypatch: pytest.MonkeyPatch, had_hash: bool
) -> None:
    """Every call that changes the disk fails in turn, before and after it did its work."""
    calls = [(os, 'fsync'), (Path, 'replace'), (Path, 'chmod'), (Path, 'write_bytes'), (Path, 'write_text')]
    messages: list[str] = []
    for owner, name in calls:
        for after in (False, True):
            for count in itertools.count():
                sidecar_of(file).unlink(missing_ok=True)
                HashedBackend().put(b'old', file)
                if not had_hash:
                    sidecar_of(file).unlink()
                left, original = [count], getattr(owner, name)

                def fail(*args, left=left, original=original, after=after, **kwargs):
                    left[0] -= 1
                    if left[0] == -1:
                        if after:
                            original(*args, **kwargs)
                        raise OSError(errno.ENOSPC, 'No space left on device')
                    return original(*args, **kwargs)

                with monkeypatch.context() as patch:
                    patch.setattr(owner, name, fail)
                    try:
                        HashedBackend().put(b'new', file)
                    except CheckpointError as error:
                        messages.append(str(error))
                assert file.read_bytes() in (b'old', b'new')
                assert hash_problem(file) is None
                assert names(file.parent) <= {'epoch_1.pth', 'epoch_1.pth.sha256'}
                if left[0] >= 0:  # there are no so many calls
                    break
    assert len(messages) > 15
    assert all('epoch_1.pth: not saved: No space left on device. What was' in text for text in messages)


def test_damage_is_found_on_loading_and_a_file_without_hash_loads(tmp_path: Path) -> None:
    torch.save(dict(a=torch.zeros(1000)), tmp_path / 'plain.pth')
    HashedBackend().put((tmp_path / 'plain.pth').read_bytes(), tmp_path / 'a.pth')
    assert load_from_file(str(tmp_path / 'a.pth')).keys() == {'a'}
    for place in (0, 0.3, 0.999):
        flip_bit(tmp_path / 'a.pth', place)
        with pytest.raises(
            CheckpointError, match=r'a\.pth: damaged: its SHA-256 is \w{64}, not that of a\.pth\.sha256'
        ):
            load_from_file(str(tmp_path / 'a.pth'))
        flip_bit(tmp_path / 'a.pth', place)
    assert load_from_file(str(tmp_path / 'plain.pth')).keys() == {'a'}


def test_removing_a_checkpoint_removes_its_hash(file: Path) -> None:
    HashedBackend().remove(file)
    assert names(file.parent) == set()


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(file: Path) -> None:
    for name in ('.tmp-ab.pth', '.tmp-cd.sha256', 'epoch_7.pth.sha256', 'own.pth', '.tmp-notes.txt'):
        (file.parent / name).write_text('x')
    clean(file.parent)
    assert names(file.parent) == {'epoch_1.pth', 'epoch_1.pth.sha256', 'own.pth', '.tmp-notes.txt'}


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    return tiny_config(tmp_path)


def test_newest_is_told_by_number_not_by_time(cfg: Config, tmp_path: Path) -> None:
    for age, number in enumerate((10, 9, 2)):
        path = tmp_path / f'epoch_{number}.pth'
        path.write_text('')
        os.utime(path, (1e9 + age, 1e9 + age))  # the clock was set: the oldest has the latest time
    (tmp_path / 'epoch_9_interrupted.pth').write_text('')
    (tmp_path / 'best_N_loss_epoch_12.pth').write_text('')
    found = [path.name for path in resumable(cfg)]
    assert found == ['epoch_10.pth', 'epoch_9_interrupted.pth', 'epoch_9.pth', 'epoch_2.pth']


def test_checkpoints_of_an_earlier_longer_run_are_not_resumed(cfg: Config, tmp_path: Path) -> None:
    for number in (3, 2, 30):
        (tmp_path / f'epoch_{number}.pth').write_text('')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    assert [path.name for path in resumable(cfg)] == ['epoch_3.pth', 'epoch_2.pth']


def test_the_checkpoint_named_as_the_last_comes_first_wherever_it_lies(cfg: Config, tmp_path: Path) -> None:
    elsewhere = tmp_path / 'elsewhere' / 'state.pth'
    elsewhere.parent.mkdir()
    (tmp_path / 'epoch_3.pth').write_text('')
    (tmp_path / 'last_checkpoint').write_text(str(elsewhere))
    assert resumable(cfg) == [tmp_path / 'epoch_3.pth']  # it is gone
    elsewhere.write_text('')
    assert resumable(cfg) == [elsewhere, tmp_path / 'epoch_3.pth']


def test_a_folder_is_held_by_one_run_until_it_ends(tmp_path: Path) -> None:
    a, b = tmp_path / 'a', tmp_path / 'b'
    for folder in (a, b):
        folder.mkdir()
    with locked(a, b, a / '..' / 'a'):
        for folder in (a, b):
            with pytest.raises(UserError, match='is training into'), locked(folder):
                pass
    with locked(a, b):
        assert (a / LOCK).is_file()
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointError, match='file: not saved: '), locked(tmp_path / 'file'):
        pass


def test_checkpoints_are_looked_for_in_out_dir(cfg: Config, tmp_path: Path) -> None:
    cfg.default_hooks.checkpoint.out_dir = str(tmp_path / 'out')
    assert checkpoint_folder(cfg) == tmp_path / 'out'
    train(tmp_path / 'work', **{'default_hooks.checkpoint.out_dir': str(tmp_path / 'out')})
    cfg.work_dir = str(tmp_path / 'work')
    assert find_intact(cfg) == str(tmp_path / 'out' / 'epoch_3.pth')
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_resume_falls_back_to_the_newest_intact_checkpoint_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    whole = train(tmp_path / 'a')
    flip_bit(tmp_path / 'a' / 'epoch_3.pth')
    again = train(tmp_path / 'a', resume=True)
    assert all(torch.equal(value, again['state_dict'][key]) for key, value in whole['state_dict'].items())
    (line,) = {line for line in ''.join(capfd.readouterr()).splitlines() if 'newest intact' in line}
    assert line.startswith('warning: ')
    assert 'epoch_3.pth: damaged' in line
    assert line.endswith('epoch_2.pth')


def test_resume_with_no_intact_checkpoint_is_refused(cfg: Config, tmp_path: Path) -> None:
    (tmp_path / 'epoch_1.pth').write_bytes(b'half')
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth.*To start anew, leave out --resume'):
        find_intact(cfg)


def test_full_disk_leaves_the_previous_checkpoints_and_no_stray_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = files_module.write_hashed
    writes = []

    def full(path, content):
        writes.append(Path(path).name)
        if Path(path).name.startswith('best') and len(writes) > 3:
            raise OSError(errno.ENOSPC, 'No space left on device')
        original(path, content)

    monkeypatch.setattr('mammo.engine.saving.files.write_hashed', full)
    with pytest.raises(
        CheckpointError, match=r'best_N_loss_epoch_\d\.pth: not saved: No space left on device'
    ):
        train(tmp_path)
    (best,) = tmp_path.glob('best*.pth')  # the old one
    for path in (best, Path((tmp_path / 'last_checkpoint').read_text())):
        assert load_from_file(str(path))['state_dict']
    assert not list(tmp_path.glob('.tmp*'))


def test_full_disk_as_the_newest_checkpoint_is_noted_names_the_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: str) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('mammo.engine.saving.hook.write_text', full)
    with pytest.raises(CheckpointError, match=r'last_checkpoint: not saved: No space left on device'):
        train(tmp_path)
    assert load_from_file(str(tmp_path / 'epoch_1.pth'))['state_dict']


def test_old_best_and_old_epochs_go_only_after_the_new_ones_are_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = files_module.write_hashed
    seen = []

    def watched(path, content):
        present = {p.name for p in tmp_path.glob('*.pth')}
        original(path, content)
        seen.append((Path(path).name, present, {p.name for p in tmp_path.glob('*.pth')}))

    monkeypatch.setattr('mammo.engine.saving.files.write_hashed', watched)
    train(tmp_path, **{'default_hooks.checkpoint.max_keep_ckpts': 1})
    assert all(before <= after for _, before, after in seen)  # nothing goes while one is written
    assert any({'epoch_1.pth', 'epoch_2.pth'} <= after for _, _, after in seen)
    bests = [name for name, _, _ in seen if name.startswith('best')]
    assert len(bests) > 1
    assert {p.name for p in tmp_path.glob('*.pth')} == {'epoch_3.pth', bests[-1]}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob('*.pth*')}


def test_resume_from_the_file_of_another_run_leaves_that_run_alone(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train(tmp_path / 'a', stop=dict(moment='before_train_iter', count=7))
    before = contents(tmp_path / 'a')
    assert any(name.startswith('best') for name in before)
    saved = (tmp_path / 'a' / 'last_checkpoint').read_text()
    again = train(tmp_path / 'b', resume=True, load_from=saved)
    assert contents(tmp_path / 'a') == before
    assert again['message_hub']['runtime_info']['last_ckpt'] == str(tmp_path / 'b' / 'epoch_3.pth')


def test_no_file_that_a_checkpoint_names_is_removed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train(tmp_path / 'a', stop=dict(moment='before_train_iter', count=7))
    saved = Path((tmp_path / 'a' / 'last_checkpoint').read_text())
    content = torch.load(saved, weights_only=True)
    (tmp_path / 'a' / 'notes.txt').write_text('own')
    content['message_hub']['runtime_info'].update(best_ckpt=str(tmp_path / 'a' / 'notes.txt'), best_score=9.0)
    torch.save(content, tmp_path / 'evil.pth')
    train(tmp_path / 'a', resume=True, load_from=str(tmp_path / 'evil.pth'))
    assert (tmp_path / 'a' / 'notes.txt').exists()


def test_best_checkpoint_of_a_moved_folder_is_still_replaced(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train(tmp_path / 'a', stop=dict(moment='before_train_iter', count=7))
    (tmp_path / 'a').rename(tmp_path / 'b')
    saved = next((tmp_path / 'b').glob('*_interrupted.pth'))
    content = torch.load(saved, weights_only=True)
    content['message_hub']['runtime_info']['best_score'] = 9.0  # so that a better one comes
    torch.save(content, tmp_path / 'state.pth')
    train(tmp_path / 'b', resume=True, load_from=str(tmp_path / 'state.pth'))
    assert len(list((tmp_path / 'b').glob('best*.pth'))) == 1


@pytest.mark.parametrize('name', ['best', 'weights'])
def test_resume_from_weights_is_refused(tmp_path: Path, name: str) -> None:
    content = train(tmp_path / 'a')
    (best,) = (tmp_path / 'a').glob('best*.pth')
    torch.save(dict(state_dict=content['state_dict']), tmp_path / 'weights.pth')
    file = dict(best=best, weights=tmp_path / 'weights.pth')[name]
    with pytest.raises(CheckpointError, match=r'it holds no .*optimizer.*cfg-options load_from='):
        train(tmp_path / 'b', resume=True, load_from=str(file))


def test_checkpoint_that_cannot_be_read_is_passed_over(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        torch.save(dict(a=1), tmp_path / f'epoch_{number}.pth')

    def fail(path: Path) -> None:
        if path.name == 'epoch_2.pth':
            raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr('mammo.records.storage.pickles.hash_problem', fail)
    with pytest.raises(CheckpointError, match=r'epoch_2\.pth: cannot be read: Input/output error'):
        load_from_file(str(tmp_path / 'epoch_2.pth'))
    assert find_intact(cfg) == str(tmp_path / 'epoch_1.pth')


@pytest.mark.parametrize(
    'error',
    [MemoryError(), RuntimeError("can't allocate memory"), torch.OutOfMemoryError('CUDA out of memory.')],
)
def test_exhausted_memory_is_no_damage(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    torch.save(dict(a=1), tmp_path / 'plain.pth')
    for number in (1, 2):
        HashedBackend().put((tmp_path / 'plain.pth').read_bytes(), tmp_path / f'epoch_{number}.pth')

    def fail(*_: object, **__: object) -> None:
        raise error

    told = []
    monkeypatch.setattr('mammo.engine.launch.broadcast_object_list', lambda found: told.extend(found))
    monkeypatch.setattr(torch, 'load', fail)
    with pytest.raises(type(error)):
        find_intact(cfg)
    assert told[0] is None
    assert told[1]  # what the other processes hear


def test_other_processes_hear_of_the_failure(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def hear(found: list) -> None:
        found[:] = [None, 'memory ran out']

    monkeypatch.setattr('mammo.engine.launch.is_main_process', lambda: False)
    monkeypatch.setattr('mammo.engine.launch.broadcast_object_list', hear)
    with pytest.raises(UserError, match='memory ran out'):
        find_intact(cfg)


def test_trusted_checkpoint_is_found_to_go_on_from(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(dict(a=Path('x')), tmp_path / 'epoch_1.pth')
    with pytest.raises(CheckpointError, match='--trust-checkpoint'):
        find_intact(cfg)
    monkeypatch.setattr(
        CheckpointLoader, '_schemes', {**CheckpointLoader._schemes, '': load_from_trusted_file}
    )
    assert find_intact(cfg) == str(tmp_path / 'epoch_1.pth')


def test_new_run_in_a_used_folder_moves_the_old_checkpoints_aside(
    cfg: Config, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    train(tmp_path)
    old = contents(tmp_path)
    with pytest.raises(PowerCut):  # before its first checkpoint
        train(tmp_path, stop=dict(moment='before_train_iter', count=1, signal_name=None))
    (aside,) = tmp_path.glob('earlier_*')
    assert contents(aside) == old
    assert contents(tmp_path) == {}
    assert find_intact(cfg) is None
    assert f'moved to {aside.name}, remove them if they are not needed' in ''.join(capfd.readouterr())


def test_resumed_run_moves_nothing_aside(tmp_path: Path) -> None:
    train(tmp_path)
    train(tmp_path, resume=True)
    assert not list(tmp_path.glob('earlier_*'))


def test_auto_resume_goes_on_where_there_is_something_and_else_starts_from_load_from(tmp_path: Path) -> None:
    weights = train(tmp_path / 'a')['state_dict']
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    options = {'auto_resume': True, 'load_from': str(tmp_path / 'weights.pth')}
    fresh = train(tmp_path / 'b', **options, **{'optim_wrapper.optimizer.lr': 0.0})
    assert torch.equal(fresh['state_dict']['layers.0.weight'], weights['layers.0.weight'])
    saved = contents(tmp_path / 'a')
    train(tmp_path / 'a', **options)  # finished: nothing is left to do
    assert contents(tmp_path / 'a') == saved


def test_gradients_that_a_checkpoint_leaves_out_are_said(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    train(tmp_path / 'a', **{'optim_wrapper.accumulative_counts': 5})
    assert 'accumulative_counts' not in ''.join(capfd.readouterr())
    train(tmp_path / 'b', **{'optim_wrapper.accumulative_counts': 2})
    assert 'an epoch has 5 batches, no multiple of accumulative_counts=2' in ''.join(capfd.readouterr())


def test_an_undefined_metric_neither_ends_nor_stops_a_run(tmp_path: Path) -> None:
    hooks = [dict(type='EarlyStoppingHook', monitor='N_loss', patience=1, min_delta=0.0)]
    options: dict = {'val_evaluator.undefined': True, 'custom_hooks': hooks}
    assert train(tmp_path, **options)['meta']['epoch'] == 3
    assert not list(tmp_path.glob('best_*'))


def test_early_stopping_by_a_metric_that_there_is_not_is_refused_if_strict(tmp_path: Path) -> None:
    hooks = [dict(type='EarlyStoppingHook', monitor='M_loss', strict=True)]
    with pytest.raises(RuntimeError, match='M_loss'):
        train(tmp_path, custom_hooks=hooks)


def test_best_by_a_metric_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"save_best: no metric \['N_acc_loss'\], validation gives \['N_loss'\]"
    ):
        train(tmp_path, **{'default_hooks.checkpoint.save_best': 'N_acc_loss'})


def test_learning_rates_are_scaled_by_the_images_of_a_step(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    scaling: dict = dict(auto_scale_lr=dict(enable=True, base_batch_size=32), param_scheduler=None)
    scaling |= dict(log_level='INFO')
    checkpoint = train(tmp_path, **scaling, **{'optim_wrapper.accumulative_counts': 4})
    (group,) = checkpoint['optimizer']['param_groups']
    assert group['lr'] == pytest.approx(0.01 * 4 * 4 / 32)
    line = (
        'learning rate 0.01 scaled by 0.5: 16 images per step (1 processes x 4 x 4 accumulated) instead of 32'
    )
    assert line in ''.join(capfd.readouterr())
