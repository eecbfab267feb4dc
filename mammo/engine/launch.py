"""What a config and a process group need on a machine without a GPU.

config made for GPUs -> config and process group that run on CPU
"""

import atexit
import gc
import os
import subprocess
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.model import revert_sync_batchnorm
from torch import nn

from mammo.engine.log import tell
from mammo.errors import UserError

T = TypeVar('T')


def adapt_to_cpu(cfg: Config) -> None:
    """Replace, in place, what only works on a GPU; a log line says what was replaced."""
    cfg.pop('sync_bn', None)
    if (cfg.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'Bf16OptimWrapper'
        for key in ('loss_scale', 'dtype'):
            cfg.optim_wrapper.pop(key, None)
        tell('no GPU: mixed precision is bfloat16')
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(key):
            cfg[key].pin_memory = False


def without_sync_bn(model: nn.Module) -> nn.Module:
    """The model with BN in the place of SyncBN, also of one that is a default of a stock module."""
    if not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
        return model
    tell('no GPU: SyncBN is replaced by BN, statistics are per process')
    return revert_sync_batchnorm(model)


def init_cpu_group(launcher: str) -> None:
    """Start a gloo process group, which mmengine cannot start without a GPU.

    Raises:
        UserError: the launcher is neither pytorch nor slurm.
    """
    if launcher == 'slurm':
        _take_slurm_environment()
    elif launcher != 'pytorch':
        raise UserError(f'launcher {launcher!r} needs a GPU; on CPU use pytorch or slurm')
    dist.init_process_group('gloo')
    atexit.register(_end_group)
    tell(f'no GPU: {dist.get_world_size()} processes talk through gloo')


def _end_group() -> None:
    """End the threads of the group; one that is alive at the very end aborts the process, now and then.

    They live as long as a network that is wrapped for the group, and a runner that holds one is a cycle.
    """
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


def is_first_process(launcher: str) -> bool:
    """Whether this process is the main one of its run, told before the processes know of one another."""
    variable = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK').get(launcher, '')
    return os.environ.get(variable, '0') == '0'


def on_main_process(work: Callable[[], T]) -> T:
    """Do something in the main process of a run; its result, or its error, is that of all processes.

    Raises:
        Exception: what stopped the main process; in the others a UserError that says the same, so that none
            waits for one that has stopped.
    """
    outcome: list[Any] = [None, None]
    failure: Exception | None = None
    if is_main_process():
        try:
            outcome[0] = work()
        except Exception as error:  # of any kind: the other processes wait for word
            failure, outcome[1] = error, str(error) or repr(error)
    broadcast_object_list(outcome)
    if outcome[1]:
        raise failure or UserError(outcome[1])
    return outcome[0]  # type: ignore[no-any-return]


def use_cpu() -> bool:
    """Whether there is no GPU to run on."""
    return not torch.cuda.is_available()


def _take_slurm_environment() -> None:
    """Set what torch's env:// rendezvous reads from what SLURM says of this task."""
    env = os.environ
    env['RANK'], env['WORLD_SIZE'] = env['SLURM_PROCID'], env['SLURM_NTASKS']
    env['LOCAL_RANK'] = env.get('SLURM_LOCALID', '0')
    env.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in env:
        command = ['scontrol', 'show', 'hostnames', env['SLURM_NODELIST']]
        env['MASTER_ADDR'] = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.split()[0]
