"""Configs made for GPUs on a machine without one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mammo.engine.faults import Bf16OptimWrapper
from mammo.engine.launch import adapt_to_cpu, init_cpu_group, on_main_process, without_sync_bn
from mammo.errors import UserError


def test_sync_bn_becomes_bn_wherever_it_stands(log_lines: list[str]) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.SyncBatchNorm(4)
    )
    names = list(model.state_dict())
    converted = without_sync_bn(model)
    means = converted(torch.randn(8, 3, 5, 5)).mean(dim=0)
    torch.testing.assert_close(means, torch.zeros(4), atol=1e-6, rtol=0)
    assert list(converted.state_dict()) == names
    assert len([line for line in log_lines if 'SyncBN is replaced by BN' in line]) == 1


def test_model_without_sync_bn_is_left_alone_and_nothing_is_said(log_lines: list[str]) -> None:
    norm = nn.BatchNorm2d(4)
    assert without_sync_bn(nn.Sequential(norm))[0] is norm
    assert log_lines == []


def test_conversion_to_sync_bn_is_dropped() -> None:
    cfg = Config(dict(model={}, sync_bn='torch'))
    adapt_to_cpu(cfg)
    assert cfg.get('sync_bn') is None


def test_mixed_precision_becomes_bfloat16(log_lines: list[str]) -> None:
    optimizer = dict(type='AdamW', lr=1e-3)
    cfg = Config(
        dict(
            optim_wrapper=dict(
                type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16', optimizer=optimizer,
                clip_grad=dict(max_norm=35),
            )
        )
    )  # fmt: skip
    adapt_to_cpu(cfg)
    expected = dict(type='Bf16OptimWrapper', optimizer=optimizer, clip_grad=dict(max_norm=35))
    assert cfg.optim_wrapper.to_dict() == expected
    assert len([line for line in log_lines if 'bfloat16' in line]) == 1


def test_plain_config_is_left_alone_and_nothing_is_said(log_lines: list[str]) -> None:
    content = dict(model=dict(norm_cfg=dict(type='BN')), optim_wrapper=dict(type='OptimWrapper'))
    cfg = Config(content)
    adapt_to_cpu(cfg)
    assert cfg.to_dict() == content
    assert log_lines == []


def test_config_for_testing_only_is_accepted() -> None:
    adapt_to_cpu(Config(dict(model={}, optim_wrapper=None, train_dataloader=None)))


def test_memory_is_not_pinned() -> None:
    cfg = Config(dict(train_dataloader=dict(pin_memory=True), val_dataloader=None))
    adapt_to_cpu(cfg)
    assert cfg.train_dataloader.pin_memory is False


def test_launcher_that_needs_a_gpu_is_refused() -> None:
    with pytest.raises(UserError, match="launcher 'mpi' needs a GPU; on CPU use pytorch or slurm"):
        init_cpu_group('mpi')


def test_bfloat16_wrapper_runs_the_forward_pass_in_bfloat16_and_updates_float32() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='Bf16OptimWrapper', optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    )
    assert isinstance(wrapper, Bf16OptimWrapper)
    x = torch.randn(4, 3)
    with wrapper.optim_context(model):
        output = model(x)
    assert output.dtype == torch.bfloat16
    assert model(x).dtype == torch.float32  # outside
    before = model.weight.clone()
    wrapper.update_params(output.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


LAUNCH = 'mammo.engine.launch'


@pytest.mark.parametrize('error', [UserError('full'), OSError('full'), ZeroDivisionError('full')])
def test_an_error_of_the_main_process_ends_all(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list = []

    def work() -> None:
        raise error

    monkeypatch.setattr(f'{LAUNCH}.broadcast_object_list', sent.extend)
    with pytest.raises(type(error), match='full'):
        on_main_process(work)
    assert sent == [None, 'full']
    monkeypatch.setattr(f'{LAUNCH}.is_main_process', lambda: False)
    monkeypatch.setattr(f'{LAUNCH}.broadcast_object_list', lambda outcome: outcome.__setitem__(1, 'full'))
    with pytest.raises(UserError, match='full'):
        on_main_process(lambda: pytest.fail('not the main process'))


def test_what_the_main_process_finds_reaches_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_main_process(lambda: 3) == 3
    monkeypatch.setattr(f'{LAUNCH}.is_main_process', lambda: False)
    monkeypatch.setattr(f'{LAUNCH}.broadcast_object_list', lambda outcome: outcome.__setitem__(0, 3))
    assert on_main_process(lambda: pytest.fail('not the main process')) == 3


ENDS = """
import atexit
from pathlib import Path


def threads():
    names = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]
    return [name for name in names if name.startswith('pt_')]


atexit.register(lambda: print(len(threads())))  # the last that is called

import torch
from mammo.quick_start import load_networks

load_networks('pytorch')
from mammo.engine.launch import init_cpu_group

init_cpu_group('pytorch')
cycle = [torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))]
cycle.append(cycle)
print(len(threads()))
del cycle
"""


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='threads are counted in /proc')
def test_no_thread_of_the_group_is_alive_at_the_end_though_a_cycle_held_the_network() -> None:
    """One that is alive then aborted about one process in twenty."""
    alone = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(_free_port()), RANK='0', WORLD_SIZE='1')
    ended = subprocess.run(
        [sys.executable, '-c', ENDS],
        env={**os.environ, **alone},
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, ended.stdout.split()[-2:])
    assert before > 0
    assert after == 0


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(('127.0.0.1', 0))
        return int(opened.getsockname()[1])
