"""Options that several tools share; what those of a config mean is in mammo.engine.config.reading.

parser -> parser with them; text -> value
"""

import argparse
from collections.abc import Callable


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Config, work dir, precision, checks and launcher."""
    parser.add_argument(
        'config', help='config file; a config is code and is executed, run only those you trust'
    )
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints; default: work_dirs/<config name>'
    )
    parser.add_argument(
        '--fold',
        metavar='DIR',
        help='folder with train, val and test.json, of tools/split.py; without it those of the config',
    )
    add_tasks(parser)
    parser.add_argument('--amp', action='store_true', help='mixed precision, bfloat16')
    parser.add_argument(
        '--check-data',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='decode every image once before starting, and list all that are missing or damaged',
    )
    add_cfg_options(parser)
    add_trust(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what has started this process beside others',
    )
    parser.add_argument(
        '--verbose', action='store_true', help='show on the terminal what the log file holds: every step'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Whether checkpoints may be pickles."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load checkpoints as pickles, which may run any code in them: only files you trust',
    )


def add_tasks(parser: argparse.ArgumentParser) -> None:
    """``--tasks A,B``; see :mod:`mammo.engine.config.tasks`."""
    parser.add_argument(
        '--tasks',
        type=lambda text: [name.strip() for name in text.split(',') if name.strip()],
        metavar='NAME,...',
        help="labels of the meta file to learn, the main one first; without it the config's, or if the data "
        'have none of these all of theirs; kinds that the config does not give are guessed from the values',
    )


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options key=value ...``, texts that :func:`mammo.engine.config.reading.set_options` reads."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        action='extend',
        help='settings that replace those of the config, such as model.neck.depth=2; a value is a number, '
        'text, true, None, or a list as in 1,2 or [1,2]; a key that the config does not have begins with +',
    )


def fraction(text: str) -> float:
    """A number above 0 and up to 1, for argparse."""
    if not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not above 0 and up to 1')
    return float(text)


def share(text: str) -> float:
    """A number of 0 to 1, for argparse."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not 0 to 1')
    return float(text)


def confidence(text: str) -> float:
    """A number between 0 and 1, for argparse."""
    if not 0 < float(text) < 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return float(text)


def at_least(smallest: int) -> Callable[[str], int]:
    """A whole number of at least ``smallest``, for argparse."""

    def number(text: str) -> int:
        if int(text) < smallest:
            raise argparse.ArgumentTypeError(f'{text} is less than {smallest}')
        return int(text)

    return number
