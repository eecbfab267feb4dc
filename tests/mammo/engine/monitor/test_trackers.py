"""TensorBoard, MLflow and Weights & Biases take a run's numbers, and none needs a network."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import VISBACKENDS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto.wandb_internal_pb2 import Record

from mammo.engine.monitor.trackers import add_trackers
from mammo.terminal import TERMINAL
from tests.support.toy_config import ROOT, write_config

TRACKERS = ['tensorboard', 'mlflow', 'wandb']


def config_with(path: Path, data: Path, *trackers: str) -> Path:
    """The toy config, with fragments added to _base_ as a user adds them."""
    text = write_config(path, data).read_text()
    base = text.split("_base_ = '")[1].split("'")[0]
    files = [base, *(f'{ROOT}/configs/_base_/trackers/{name}.py' for name in trackers)]
    path.write_text(text.replace(f"_base_ = '{base}'", f'_base_ = {files}'))
    return path


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return {
        tag: [(event.step, round(event.value, 4)) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()['scalars']
    }


@pytest.mark.parametrize('names', [[], ['mlflow'], TRACKERS])
def test_each_fragment_adds_its_tracker_once(tmp_path: Path, names: list[str]) -> None:
    cfg = Config.fromfile(config_with(tmp_path / 'c.py', tmp_path, *names))
    add_trackers(cfg)
    add_trackers(cfg)
    types = [backend['type'].lower() for backend in cfg.visualizer.vis_backends]
    assert types == ['localvisbackend', *(f'{name}tracker' for name in names)]


def test_training_and_validation_are_kept_apart_and_undefined_metrics_left_out(tmp_path: Path) -> None:
    backend = VISBACKENDS.build(dict(type='TensorboardTracker', save_dir=str(tmp_path)))
    backend.add_config(Config(dict(a=1)))
    assert not list(tmp_path.iterdir())  # of a run that logs nothing
    backend.add_scalars(dict(N_loss=0.9, iter=10, epoch=1), step=10)
    backend.add_scalars(dict(N_loss=0.5, LVI_roc_auc=None), step=1)
    backend.add_scalars({'monitor/rank': 3.0}, step=1)
    backend.close()
    found = events(tmp_path)
    assert found['train/N_loss'] == [(10, 0.9)]
    assert found['val/N_loss'] == [(1, 0.5)]
    assert found['monitor/rank'] == [(1, 3.0)]
    assert 'val/LVI_roc_auc' not in found


@pytest.mark.parametrize('when', ['at once', 'later'])
def test_a_server_that_is_away_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: list[str], when: str
) -> None:
    monkeypatch.setenv('MLFLOW_HTTP_REQUEST_MAX_RETRIES', '0')
    uri = 'http://127.0.0.1:9' if when == 'at once' else str(tmp_path / 'runs')
    backend = VISBACKENDS.build(dict(type='MLflowTracker', save_dir=str(tmp_path), tracking_uri=uri))
    backend.add_config(Config(dict(work_dir=str(tmp_path))))
    if when == 'later':
        backend.add_scalars(dict(N_loss=0.9), step=0)
        mlflow.set_tracking_uri('http://127.0.0.1:9')
    for step in range(3):
        backend.add_scalars(dict(N_loss=0.9, iter=10), step=step)
    backend.close()
    mlflow.end_run()
    (line,) = [line for line in log_lines if 'MLflowTracker: ' in line]
    assert 'The run goes on without it' in line
    assert not [line for line in log_lines if 'Could not log' in line]


def test_names_that_mlflow_refuses_are_rewritten_and_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'handlers', [*logger.handlers, TERMINAL])  # as in a tool
    uri = str(tmp_path / 'runs')
    backend = VISBACKENDS.build(dict(type='MLflowTracker', save_dir=str(tmp_path), tracking_uri=uri))
    backend.add_config(Config(dict(work_dir=str(tmp_path), heads={'Ki67 (%)': 1, 'größe': 2})))
    for step, loss in enumerate((0.9, 0.8)):
        backend.add_scalars({'Ki67 (%)_loss': loss, 'Ki67 [%]_loss': 2 * loss, 'größe_loss': 3.0}, step=step)
    run = mlflow.active_run()
    assert run is not None
    backend.close()
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics['val/Ki67 ____loss'] == 0.8
    assert metrics['val/Ki67 ____loss_'] == 1.6
    assert metrics['val/größe_loss'] == 3.0


def test_a_tracker_of_whatever_kind_never_ends_a_run(
    tmp_path: Path, monkeypatch, log_lines: list[str]
) -> None:
    def fails(*_: object) -> None:
        raise OSError('no room')

    backend = VISBACKENDS.build(dict(type='TensorboardTracker', save_dir=str(tmp_path)))
    monkeypatch.setattr(backend, '_send', fails)
    backend.add_scalars(dict(N_loss=0.9, iter=10), step=1)
    backend.add_scalars(dict(N_loss=0.9, iter=20), step=2)
    backend.close()
    assert len([line for line in log_lines if 'TensorboardTracker: no room. The run goes on' in line]) == 1


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """Address of a proxy that answers nobody, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(('127.0.0.1', 0)) as server:

        def take() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(200))

        threading.Thread(target=take, daemon=True).start()
        yield f'http://127.0.0.1:{server.getsockname()[1]}', asked
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.slow
def test_all_trackers_take_the_same_run_without_a_network(
    tmp_path: Path, toy_data: Path, proxy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_with(tmp_path / 'c.py', toy_data, *TRACKERS)
    work_dir, store = tmp_path / 'wd', tmp_path / 'runs'
    address, asked = proxy
    proxies = dict.fromkeys(('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'all_proxy'), address)
    command = [sys.executable, str(ROOT / 'tools/train.py'), str(config), '--work-dir', str(work_dir)]
    done = subprocess.run(
        command,
        env=os.environ | proxies | dict(MLFLOW_TRACKING_URI=str(store)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert asked == []

    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    expected = [(line['step'], line['N_loss']) for line in lines if 'iter' not in line]
    assert len(expected) == 2
    rounded = [(step, pytest.approx(value, abs=1e-4)) for step, value in expected]

    assert events(scalars.parent)['val/N_loss'] == rounded

    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    client = mlflow.MlflowClient(store.as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name('mammograms').experiment_id])
    assert run.info.status == 'FINISHED'
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, 'val/N_loss')] == rounded
    assert run.data.params['train_cfg.max_epochs'] == '2'

    (log,) = scalars.parent.glob('wandb/offline-run-*/*.wandb')
    records = list(wandb_records(log))
    rows = [
        {'/'.join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item} for r in records
    ]
    assert [(row['val/step'], row['val/N_loss']) for row in rows if 'val/N_loss' in row] == rounded
    assert {r.run.host for r in records if r.HasField('run')} == {'-'}
    for private in (b'Epoch(train)', b'--work-dir', b'image0.png'):  # log, command line, data
        assert private not in log.read_bytes()
    assert [path.name for path in log.parent.glob('files/*')] == ['requirements.txt']


BLOCK_BYTES, HEADER = 32768, struct.Struct('<IHB')  # checksum, length, kind: the log format of LevelDB
WHOLE, LAST = 1, 4  # kinds of a piece


def wandb_records(log: Path) -> Iterator[Record]:
    """What the file of a W&B run holds."""
    content, at, pieces = log.read_bytes(), 7, b''
    while at + HEADER.size <= len(content):
        if (left := BLOCK_BYTES - at % BLOCK_BYTES) < HEADER.size:
            at += left
            continue
        _, length, kind = HEADER.unpack_from(content, at)
        pieces += content[at + HEADER.size : at + HEADER.size + length]
        at += HEADER.size + length
        if kind in (WHOLE, LAST):
            yield Record.FromString(pieces)
            pieces = b''
