"""What the main of every tool runs in: errors of the user as one line on standard error, and a code.

function that raises or returns an exit code -> the end of the process
"""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from mammo import __version__
from mammo.errors import FULL_DISK, Exit, UserError
from mammo.terminal import log_to_terminal, say

GO_ON = 'the same command starts again'


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Text as it stands, and after each option its default, where it has one that says something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default in (None, '', [], argparse.SUPPRESS) or action.default is False  # 0 is shown
        return action.help if silent else super()._get_help_string(action)


class _Once(argparse.Action):
    """Store the value of an option; that a second, other one replaces it is said."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        first = parser.stored.setdefault(self.dest, values)
        if first != values and self.nargs != '?':  # --resume may stand behind --resume FILE
            say(f'warning: {self.option_strings[0]} is given twice; {values} is taken, not {first}')
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    """Parser that completes words in a shell, and says which libraries will take their seconds to load."""

    loads = ''

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for action in (None, 'store'):
            self.register('action', action, _Once)

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        self.stored: dict[str, Any] = {}
        if '_ARGCOMPLETE' in os.environ:  # a shell asks what may come next; ends the process
            import argcomplete

            argcomplete.autocomplete(self)
        parsed = super().parse_args(*args, **kwargs)
        if self.loads:
            say(f'loading {self.loads} ...')
        return parsed


def tool_parser(doc: str | None, example: str = '', loads: str = '') -> argparse.ArgumentParser:
    """Parser of one tool: ``--help`` shows its docstring, an example, and every default.

    Args:
        doc: ``__doc__`` of the tool.
        example: a command line as users type it.
        loads: libraries that take over 2 s to load, for a line on standard error.
    """
    epilog = f'example: {example}' if example else None
    parser = _Parser(description=doc, epilog=epilog, formatter_class=_Help)
    parser.loads = loads
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    return parser


def command(go_on: str = GO_ON) -> Callable[[Callable[[], int | None]], Callable[[], None]]:
    """Decorate ``main``: errors end the process as in :func:`one_line_errors`, so does its code.

    Args:
        go_on: what to do after Ctrl-C, such as ``--resume goes on from here``.
    """

    def wrap(main: Callable[[], int | None]) -> Callable[[], None]:
        @functools.wraps(main)
        def ends() -> None:
            log_to_terminal()
            with one_line_errors(go_on):
                code = main()
                sys.stdout.flush()
            if code:
                sys.exit(code)

        return ends

    return wrap


@contextmanager
def one_line_errors(go_on: str = GO_ON) -> Iterator[None]:
    """End the process with one line where the user can mend it; other errors keep their traceback."""
    try:
        yield
    except UserError as error:
        _end(f'error: {_process(error)}{error}', error.exit_code)
    except BrokenPipeError:  # of standard output, as of `tool | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.DONE)
    except OSError as error:
        cause = _with_number(error)
        if cause.errno in FULL_DISK:
            place = os.fsdecode(cause.filename) if cause.filename else 'cannot write'
            remedy = f'free some space or choose another folder; {go_on}'
            _end(f'error: {place}: {cause.strerror}; {remedy}', Exit.NOTHING_MADE)
        if cause.filename is None:  # not about a file
            raise
        _end(f'error: {os.fsdecode(cause.filename)}: {cause.strerror}', Exit.BAD_INPUT)
    except KeyboardInterrupt:
        _end(f'stopped; {go_on}', Exit.INTERRUPTED)


def _with_number(error: OSError) -> OSError:
    """The error of the system behind that of a library, as pydicom raises it, which has its text alone."""
    while error.errno is None and isinstance(error.__cause__, OSError):
        error = error.__cause__
    return error


def _end(line: str, code: int) -> NoReturn:
    say(line)
    sys.exit(code)


def _process(error: UserError) -> str:
    """Which of several processes speaks: it may be the only one that ends so, as when its memory runs out."""
    rank = os.environ.get('RANK', '0')
    return '' if rank == '0' and error.exit_code != Exit.NO_RESOURCES else f'process {rank}: '
