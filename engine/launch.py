"""What a config and a process group need on a machine without a GPU.

config made for GPUs -> config and process group that run on CPU
"""

import os
import subprocess
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import print_log


def adapt_to_cpu(cfg: Config) -> None:
    """Replace, in place, what only works on a GPU; a log line says what was replaced."""
    if _replace_value(cfg._cfg_dict, 'SyncBN', 'BN') + int(cfg.pop('sync_bn', None) is not None):
        print_log('no GPU: SyncBN is replaced by BN, statistics are per process', 'current')
    if (cfg.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'Bf16OptimWrapper'
        for key in ('loss_scale', 'dtype'):
            cfg.optim_wrapper.pop(key, None)
        print_log('no GPU: mixed precision is bfloat16', 'current')
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(key):
            cfg[key].pin_memory = False


def init_cpu_group(launcher: str) -> None:
    """Start a gloo process group, which mmengine cannot start without a GPU.

    Raises:
        ValueError: the launcher is neither pytorch nor slurm.
    """
    if launcher == 'slurm':
        _take_slurm_environment()
    elif launcher != 'pytorch':
        raise ValueError(f'launcher {launcher!r} needs a GPU; on CPU use pytorch or slurm')
    dist.init_process_group('gloo')
    print_log(f'no GPU: {dist.get_world_size()} processes talk through gloo', 'current')


def use_cpu() -> bool:
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


def _replace_value(node: Any, old: str, new: str) -> int:
    """Replace ``type=old`` by ``type=new`` anywhere in a config; the number of replacements."""
    if isinstance(node, list | tuple):
        return sum(_replace_value(child, old, new) for child in node)
    if not isinstance(node, dict):
        return 0
    count = sum(_replace_value(child, old, new) for child in node.values())
    if node.get('type') == old:
        node['type'] = new
        count += 1
    return count
