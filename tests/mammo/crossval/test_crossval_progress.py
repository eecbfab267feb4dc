"""What the table says of a fold, from its files."""

import json
import logging
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mammo.crossval.jobs.progress import cells, progress, table
from mammo.crossval.jobs.state import Status, read_status, tail, write_state


@pytest.fixture
def spec(tmp_path: Path) -> dict:
    return dict(name='0/1', folder=str(tmp_path), main_task='N', max_epochs=10, wanted=[])


def log(spec: dict, run: str, *rows: dict) -> Path:
    path = Path(spec['folder']) / 'checkpoints' / run / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return path


def validation(epoch: int, loss: float) -> dict:
    return dict(N_loss=loss, step=epoch)


def training(epoch: int, iteration: int) -> dict:
    return dict(N_loss=0.01, epoch=epoch, iter=iteration, step=iteration)


def test_a_new_fold_waits(spec: dict) -> None:
    assert read_status(spec) == Status('0/1', 'waiting')


def test_epoch_and_best_loss_are_those_of_validation_over_all_runs(spec: dict) -> None:
    log(spec, '20260101_000000', training(1, 10), validation(1, 0.5), training(2, 20), validation(2, 0.4))
    log(spec, '20260102_000000', training(3, 30), validation(3, 0.6), training(4, 40))
    write_state(Path(spec['folder']), 'test')
    assert read_status(spec) == Status('0/1', 'test', 3, 0.4, None)


def test_time_left_comes_from_the_epochs_of_this_run_only(
    spec: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(spec, '20260101_000000', validation(1, 0.5), validation(2, 0.4))
    write_state(Path(spec['folder']), 'train')
    path = log(spec, '20260102_000000', validation(3, 0.6), validation(4, 0.6))
    since = json.loads((Path(spec['folder']) / 'state.json').read_text())['since']
    os.utime(path, (since + 20, since + 20))  # 2 epochs in 20 s, 6 to go
    monkeypatch.setattr('time.time', lambda: since + 23)  # 3 s of the next epoch are over
    assert read_status(spec).left_s == pytest.approx(57, abs=1e-3)


def test_time_left_is_unknown_while_a_resumed_run_has_no_epoch(spec: dict) -> None:
    path = log(spec, '20260101_000000', validation(1, 0.5))
    os.utime(path, (1, 1))
    write_state(Path(spec['folder']), 'train')
    assert read_status(spec) == Status('0/1', 'train', 1, 0.5, None)


def test_a_line_that_is_still_being_written_is_left_out(spec: dict) -> None:
    path = log(spec, '20260101_000000', validation(1, 0.5))
    path.write_text(path.read_text() + '{"N_lo')
    assert read_status(spec).epoch == 1


def test_a_finished_fold_says_so(spec: dict) -> None:
    (Path(spec['folder']) / 'fold.json').write_text('{"done": []}')
    assert read_status(spec).step == 'finished'


def test_cells_are_texts() -> None:
    assert cells(Status('0/1', 'train', 3, 0.51234, 3725)) == ['0/1', 'train', '3', '0.5123', '1 h 02 min']
    assert cells(Status('0/1', 'train', 3, 0.5, 65))[-1] == '1 min 05 s'
    assert cells(Status('0/0', 'waiting')) == ['0/0', 'waiting', '', '', '']


def test_the_table_has_a_row_per_fold_and_a_count() -> None:
    console = Console(width=80, record=True, file=open(os.devnull, 'w'))  # noqa: SIM115
    console.print(table([Status('0/0', 'finished', 9, 0.4), Status('0/1', 'train', 2, 0.5, 60.0)]))
    text = console.export_text()
    assert '1 of 2 folds are finished' in text
    assert '1 min 00 s' in text


def test_without_a_terminal_each_change_is_one_line(spec: dict, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with progress([spec]) as update:
        update()
        log(spec, '20260101_000000', validation(1, 0.5))
        write_state(Path(spec['folder']), 'test')
        update()
        update()
    assert caplog.messages == ['fold 0/1: test, epoch 1, best loss 0.5000']


def test_the_tail_is_the_end_of_the_log(tmp_path: Path) -> None:
    assert tail(tmp_path) == '(no log)'
    (tmp_path / 'log.txt').write_text('\n'.join(map(str, range(100))))
    assert tail(tmp_path, lines=2) == '98\n99'


def test_on_a_terminal_there_is_a_live_table(spec: dict, monkeypatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    with progress([spec]) as update:
        update()
    assert '0 of 1 folds are finished' in capsys.readouterr().err
