"""A fold as a job: children, retries, locks, and the engines; the child is a stand-in that obeys a script."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mammo.crossval import steps
from mammo.crossval.jobs import engines, job
from mammo.crossval.jobs.engines import LocalEngine, gpus
from mammo.crossval.jobs.job import run_fold
from mammo.crossval.jobs.state import FINISHED, STATE, finished, read_json
from mammo.crossval.settings import throw_away
from mammo.crossval.steps import best_checkpoint
from mammo.errors import DataError, UserError
from mammo.records.meta import read_meta
from tests.support.stand_in_folds import calls, until, wait

ROOT = Path(__file__).resolve().parents[3]


def test_a_fold_that_works_is_run_once_and_skipped_when_finished(make) -> None:
    spec = make('0/0')
    assert run_fold(spec)
    assert run_fold(spec)
    assert len(calls(spec)) == 1


def test_a_fold_that_fails_is_tried_once_more(make) -> None:
    spec = make('0/0', 'fail', 'work')
    assert run_fold(spec)
    assert len(calls(spec)) == 2


def test_a_fold_that_fails_twice_is_marked_and_its_log_kept(make) -> None:
    spec = make('0/0', 'fail')
    assert not run_fold(spec)
    assert len(calls(spec)) == 2
    assert read_json(Path(spec['folder']) / STATE)['step'] == 'failed'
    assert (Path(spec['folder']) / 'log.txt').read_text() == 'I fail\nI fail\n'


def test_a_fold_finished_without_an_external_set_is_run_again_for_it(make) -> None:
    spec = make('0/0')
    assert run_fold(spec)
    assert run_fold(spec | dict(wanted=['site_b']))
    assert len(calls(spec)) == 2


def test_the_child_sees_its_device_and_threads(make) -> None:
    spec = make('0/0')
    run_fold(spec | dict(threads=3), device='7')
    assert calls(spec) == ['7 3']


def test_one_failing_fold_does_not_stop_the_others(make) -> None:
    specs = [make('0/0', 'fail'), make('0/1'), make('1/0')]
    engine = LocalEngine(specs, 1)
    wait(engine)
    engine.close()
    assert [finished(spec) for spec in specs] == [False, True, True]


def test_folds_share_the_gpus_there_are(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, 'gpus', lambda: ['4', '5'])
    specs = [make(f'0/{i}') for i in range(6)]
    engine = LocalEngine(specs, None)
    wait(engine)
    engine.close()
    assert {line for spec in specs for line in calls(spec)} <= {f'{gpu} {os.environ.get("OMP_NUM_THREADS")}' for gpu in '45'}  # fmt: skip  # noqa: E501


def test_folds_on_cpu_share_the_cores(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.joblib, 'cpu_count', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr(engines, 'gpus', list)
    spec = make('0/0')
    engine = LocalEngine([spec], 4)
    wait(engine)
    engine.close()
    assert calls(spec)[0].endswith(' 2')


def test_visible_devices_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,1')
    monkeypatch.setattr(engines.torch.cuda, 'device_count', lambda: 2)
    assert gpus() == ['3', '1']


def test_closing_the_local_engine_ends_its_children(make) -> None:
    specs = [make('0/0', 'sleep'), make('0/1', 'sleep')]
    engine = LocalEngine(specs, 2)
    until(lambda: all((Path(spec['folder']) / 'calls').is_file() for spec in specs))
    engine.close()  # returns when they have ended
    assert not any(engine_child.poll() is None for engine_child in job._children)
    assert [read_json(Path(spec['folder']) / STATE)['step'] for spec in specs] == ['starts'] * 2  # not failed
    assert [len(calls(spec)) for spec in specs] == [1, 1]


@pytest.mark.slow
def test_the_steps_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """A child that waits for the lock of its fold dies when its parent is killed."""
    folder = tmp_path / '0/0'
    folder.mkdir(parents=True)
    (folder / 'spec.json').write_text(json.dumps(dict(folder=str(folder), name='0/0')))
    program = (
        'import subprocess, sys, filelock\n'
        f'lock = filelock.FileLock({str(folder / ".lock")!r}); lock.acquire()\n'
        f'child = subprocess.Popen([sys.executable, "-m", "mammo.crossval.fold",'
        f' {str(folder / "spec.json")!r}], stdin=subprocess.PIPE, start_new_session=True)\n'
        'print(child.pid, flush=True); child.wait()\n'
    )
    parent = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    until(lambda: b'crossval.fold' in Path(f'/proc/{child}/cmdline').read_bytes())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(
        lambda: (
            not Path(f'/proc/{child}').is_dir() or 'State:\tZ' in Path(f'/proc/{child}/status').read_text()
        )
    )


def test_the_best_checkpoint_is_the_one_that_the_last_one_names(tmp_path: Path) -> None:
    import torch

    for name in ('best_N_loss_epoch_1.pth', 'best_N_loss_epoch_2.pth'):
        torch.save({}, tmp_path / name)
    hub = dict(runtime_info=dict(best_ckpt='/elsewhere/best_N_loss_epoch_1.pth'))
    torch.save(dict(message_hub=hub), tmp_path / 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    assert best_checkpoint(tmp_path).name == 'best_N_loss_epoch_1.pth'
    (tmp_path / 'best_N_loss_epoch_1.pth').unlink()
    assert best_checkpoint(tmp_path).name == 'best_N_loss_epoch_2.pth'


def test_training_without_a_best_checkpoint_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no best_\*.pth; the config needs validation'):
        best_checkpoint(tmp_path)


def test_fresh_refuses_folds_that_still_run(earlier: Path) -> None:
    program = (
        'import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire();'
        'print("held", flush=True); sys.stdin.read()'
    )
    command = [sys.executable, '-c', program, str(earlier / '0/0/.lock')]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(DataError, match=r'--fresh: .*run/0/0 still runs; stop that run first'):
        throw_away(earlier)
    assert (earlier / '0/0/spec.json').is_file()
    holder.communicate(b'')
    throw_away(earlier)
    assert not (earlier / '0/0').exists()


def test_all_images_of_folds_without_a_task_list_are_cached(tmp_path: Path, monkeypatch) -> None:
    for part, task in (('train', 'N'), ('val', 'LVI')):
        (tmp_path / 'folds/0/0').mkdir(parents=True, exist_ok=True)
        items = [dict(img_path=f'{part}.png', patient_id=part, gt_label={task: 1})]
        (tmp_path / f'folds/0/0/{part}.json').write_text(json.dumps(dict(data_list=items)))
    monkeypatch.setattr(steps, 'read_config', lambda _: None)
    monkeypatch.setattr(steps.FUNCTIONS, 'get', lambda _: lambda *_, **__: None)
    spec = dict(name='cache', metas=str(tmp_path / 'folds'), views=2, amp=False, config='c.py')
    steps._cache(spec, tmp_path)
    meta = read_meta(tmp_path / 'images.json')
    assert {item['img_path'] for item in meta['data_list']} == {'train.png', 'val.png'}
    assert set(meta['metainfo']['tasks']) == {'N', 'LVI'}


def test_a_scheduler_that_is_away_is_one_message_with_its_address(make, monkeypatch) -> None:
    monkeypatch.setattr('mammo.workers.TIMEOUT_S', 1)
    with pytest.raises(UserError, match=r'--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there'):
        engines.DaskEngine([make('0/0')], 'tcp://127.0.0.1:9')


def test_finished_needs_the_whole_record(tmp_path: Path) -> None:
    spec = dict(folder=str(tmp_path), wanted=['site_b', 'fusion'])
    assert not finished(spec)
    (tmp_path / FINISHED).write_text('{"done": ["site_b"]}')
    assert not finished(spec)
    (tmp_path / FINISHED).write_text('{"done": ["fusion", "site_b"]}')
    assert finished(spec)
