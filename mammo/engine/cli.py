"""What the training and test commands share: options, and errors that end as one message.

command line -> config
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config, DictAction

from mammo.command import one_line_errors
from mammo.engine.checkpoint import trust_checkpoints
from mammo.engine.faults import resources_explained
from mammo.errors import DataError


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'config', help='config file; a config is code and is executed, run only those you trust'
    )
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints; default: work_dirs/<config name>'
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision, bfloat16')
    parser.add_argument(
        '--check-data',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='decode every image once before starting, and list all that are missing or damaged',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings that replace those of the config: key=value ...',
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load checkpoints as pickles, which may run any code in them: only files you trust',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')


def load_config(args: argparse.Namespace) -> Config:
    """The config with the common arguments merged in; ``--cfg-options`` come last and win."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.trust_checkpoint:
        trust_checkpoints()
    if args.amp:  # the same numbers in all tools; float16, torch's choice on a GPU, overflows
        torch.set_autocast_dtype('cuda', torch.bfloat16)
    if not Path(args.config).is_file():
        raise DataError(f'{args.config}: no such config')
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    if 'data_check' in cfg.default_hooks:
        cfg.default_hooks.data_check.check_data = args.check_data
    return cfg


@contextmanager
def one_message_for_bad_input() -> Iterator[None]:
    """End the program with one line, not a traceback, when input, training or memory fails."""
    with one_line_errors(), resources_explained():
        yield
