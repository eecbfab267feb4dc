"""What tools with a config share that is not yet a function of keywords.

command line -> config
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config

from mammo.command import one_line_errors
from mammo.engine import run
from mammo.engine.faults import resources_explained

SHARED = (
    'config',
    'work_dir',
    'amp',
    'check_data',
    'trust_checkpoint',
    'launcher',
    'local_rank',
    'verbose',
    'fold',
    'tasks',
)


def load_config(args: argparse.Namespace) -> Config:
    """The config with the options of :mod:`mammo.options` merged in, but for ``--cfg-options``."""
    return run.load_config(**{name: getattr(args, name) for name in SHARED})


@contextmanager
def one_message_for_bad_input() -> Iterator[None]:
    """End the program with one line, not a traceback, when input, training or memory fails."""
    with one_line_errors(), resources_explained():
        yield
