"""The one base of all errors that a user can mend, how their messages list things, and exit codes.

message that names place, value and remedy -> UserError, which mammo.command turns into one line and a code
"""

import errno
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # nothing more can be written
SHOWN = 10  # items of a long list that a message shows


class Exit(IntEnum):
    """How a program ended."""

    DONE = 0
    NOTHING_MADE = 1  # it ran, but made nothing, or not all that was asked for
    BAD_INPUT = 2  # a file, value, option or folder that cannot be used
    NOT_FINITE = 3  # training diverged
    NO_RESOURCES = 4  # memory ran out, or a worker was killed
    STOPPED = 75  # told to stop; the state is saved and the same command goes on
    INTERRUPTED = 130  # Ctrl-C


class UserError(ValueError):
    """Something the user can mend; the message names file, item, field, value and remedy."""

    exit_code = Exit.BAD_INPUT


class DataError(UserError):
    """Data that cannot be trained on or tested; the message lists what to mend."""


def listed(items: Iterable[Any], n_shown: int = SHOWN, separator: str = ', ') -> str:
    """The first items, and how many more there are.

    Example:
        >>> listed('abcd', n_shown=2)
        'a, b and 2 more'
    """
    names = [str(item) for item in items]
    rest = f' and {len(names) - n_shown} more' if len(names) > n_shown else ''
    return separator.join(names[:n_shown]) + rest
