"""What a person at the terminal reads beside results: on standard error, one line per matter.

log records of all libraries, what a tool made -> lines on standard error
"""

import logging
import shlex
import sys
from pathlib import Path
from types import FrameType
from typing import TextIO

OURS = frozenset({'mammo', 'dataset', 'models'})
NO_NEWS = (
    'will be deprecated',
    'is skipped since its requires_grad=False',
)  # words of warnings of a framework that no user can act on


class TerminalHandler(logging.Handler):
    """Lines of this project, and warnings; what frameworks report is in the log file of a run.

    Lines do not break a progress bar that is on the terminal.
    """

    is_verbose = False  # --verbose: everything, as in the log file

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._told: set[str] = set()  # warnings of frameworks, which repeat themselves

    @property
    def stream(self) -> TextIO:
        """Where lines go; MLflow asks every handler of a logger for it."""
        return sys.stderr

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is for the terminal."""
        if getattr(record, 'for_log_file', False):
            return False
        if self.is_verbose or _is_ours(record):
            return super().filter(record)  # type: ignore[return-value]
        text = record.getMessage()
        if record.levelno < logging.WARNING or text in self._told or any(words in text for words in NO_NEWS):
            return False
        self._told.add(text)
        return True

    def format(self, record: logging.LogRecord) -> str:
        """The message after its level, if that is not INFO."""
        text = super().format(record)
        return text if record.levelno <= logging.INFO else f'{record.levelname.lower()}: {text}'

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            say(self.format(record))
        except Exception:  # of any kind, as all handlers of logging
            self.handleError(record)


TERMINAL = TerminalHandler(logging.INFO)


def log_to_terminal() -> None:
    """Own lines go to the terminal from now on; lines of libraries are left as they are."""
    for name in OURS:
        logger = logging.getLogger(name)
        logger.addHandler(TERMINAL)  # once
        logger.setLevel(logging.INFO)


def say(text: str) -> None:
    """A line on standard error, above a progress bar if there is one."""
    if 'tqdm' in sys.modules:
        sys.modules['tqdm'].tqdm.write(text, file=sys.stderr)
    else:
        sys.stderr.write(f'{text}\n')
    sys.stderr.flush()


def made(what: str | Path, *following: str | Path) -> None:
    """The last line of a tool: what it made, and the command that usually comes next.

    Args:
        what: file or folder, or words.
        *following: words of the command, such as ``'tools/split.py', meta``; none: nothing follows. Capital
            words stand for what only the user knows.
    """
    command = ' '.join(word if word.isupper() else shlex.quote(word) for word in map(str, following))
    python = 'python ' if command.startswith(('tools/', 'mlp.py')) else ''
    say(f'made {what}' + (f'; next: {python}{command}' if command else ''))


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(75), duration(7500)
        ('1 min 15 s', '2 h 05 min')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f'{hours} h {minutes:02} min'
    return f'{minutes} min {seconds:02} s' if minutes else f'{seconds} s'


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether code of this project wrote a record; mmengine's ``print_log`` stands between."""
    if record.name.partition('.')[0] in OURS:
        return True
    frame: FrameType | None = sys._getframe(2)
    while frame and frame.f_globals.get('__name__', '').startswith(('logging', 'mmengine.logging', __name__)):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get('__name__', '').partition('.')[0] in OURS
