"""What the training and test commands share: options, and errors that end as one message.

command line -> config
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import get_rank

from engine.checkpoint import CheckpointError, trust_checkpoints
from engine.faults import NotFiniteError, ResourceError, resources_explained
from engine.image_check import DataError
from preprocess.meta import MetaError
from preprocess.png import ImageFileError

# exit codes
BAD_INPUT = 2
NOT_FINITE = 3  # training diverged
NO_RESOURCES = 4  # memory ran out, or a dataloader worker was killed


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
    try:
        with resources_explained():
            yield
    except (MetaError, DataError, CheckpointError, ImageFileError, NotFiniteError) as error:
        place = f'process {get_rank()}: ' if get_rank() else ''  # it may be the only one that ends so
        sys.stderr.write(f'error: {place}{error}\n')
        sys.exit(NOT_FINITE if isinstance(error, NotFiniteError) else BAD_INPUT)
    except ResourceError as error:  # of any one process
        sys.stderr.write(f'error: process {get_rank()}: {error}\n')
        sys.exit(NO_RESOURCES)
