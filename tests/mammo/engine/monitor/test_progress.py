"""A line per epoch that says how the training goes, in the order of time."""

import re
from pathlib import Path

import pytest

from mammo.engine.monitor.progress import epoch_line
from tests.support.tiny_run import PowerCut, train


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith('epoch ')]


def test_each_epoch_has_a_line_with_its_own_loss_and_its_validation(tmp_path: Path, capsys) -> None:
    hooks = {'default_hooks.progress': dict(type='ProgressHook')}
    train(tmp_path, log_level='INFO', log_processor=dict(type='MammoLogProcessor'), **hooks)
    captured = capsys.readouterr()
    lines = _lines(captured.err)
    assert [line.partition(':')[0] for line in lines] == ['epoch 1/3', 'epoch 2/3', 'epoch 3/3']
    log = next(tmp_path.glob('*/*.log')).read_text()
    validation = re.findall(r'Epoch\(val\) .*?N_loss: ([\d.]+)', log)
    shown = [re.search(r'validation N_loss ([\d.]+)', line) for line in lines]
    assert [float(found[1]) for found in shown] == pytest.approx([*map(float, validation)], abs=6e-4)
    assert 'left' in lines[0]
    assert 'left' not in lines[-1]
    assert captured.out == ''


def test_run_that_goes_on_tells_only_of_its_own_epochs(tmp_path: Path, capsys) -> None:
    hooks = {'default_hooks.progress': dict(type='ProgressHook')}
    stop = dict(moment='before_train_epoch', count=1, signal_name=None)
    with pytest.raises(PowerCut):
        train(tmp_path, stop, log_level='INFO', **hooks)
    capsys.readouterr()
    train(tmp_path, log_level='INFO', resume=True, **hooks)
    assert [line.partition(':')[0] for line in _lines(capsys.readouterr().err)] == ['epoch 2/3', 'epoch 3/3']


def test_undefined_metric_is_said_to_be_undefined() -> None:
    line = epoch_line(1, 2, None, dict(N_roc_auc=float('nan'), size_r2_score=-0.5), 1, 1)
    assert line == 'epoch 1/2: validation N_roc_auc undefined, size_r2_score -0.500; 1 s per epoch, 1 s left'
