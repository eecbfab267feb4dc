"""The live table of a cross-validation: what every fold does and how long it still takes.

specs, their files on disk -> table on a terminal, else a log line per change
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mammo.crossval.jobs.state import Status, read_status
from mammo.terminal import duration

logger = logging.getLogger(__name__)
COLOURS = dict(finished='green', failed='red', waiting='dim')


class Progress(Protocol):
    """Shows how far the folds are, each time it is called."""

    def __call__(self) -> None:
        """Show the state of now."""


@contextmanager
def progress(specs: Sequence[dict[str, Any]]) -> Iterator[Progress]:
    """A live table if standard error is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield _lines(specs)
        return
    with Live(table([]), console=Console(stderr=True), auto_refresh=False) as live:
        yield lambda: live.update(table(_statuses(specs)), refresh=True)


def table(statuses: Sequence[Status]) -> Table:
    """A row per fold."""
    done = sum(status.step == 'finished' for status in statuses)
    made = Table(title=f'{done} of {len(statuses)} folds are finished')
    for column in ('fold', 'state', 'epoch', 'best loss', 'left'):
        made.add_column(column, justify='left' if column in ('fold', 'state') else 'right')
    for status in statuses:
        made.add_row(*cells(status), style=COLOURS.get(status.step))
    return made


def cells(status: Status) -> list[str]:
    """A status as texts; what is not known is empty."""
    epoch = '' if status.epoch is None else str(status.epoch)
    best = '' if status.best is None else f'{status.best:.4f}'
    left = '' if status.left_s is None else duration(status.left_s)
    return [status.fold, status.step, epoch, best, left]


def _statuses(specs: Sequence[dict[str, Any]]) -> list[Status]:
    return [read_status(spec) for spec in specs]


def _lines(specs: Sequence[dict[str, Any]]) -> Progress:
    """A log line when a fold takes a new step or ends an epoch."""
    shown: dict[str, tuple] = {spec['name']: ('waiting', None) for spec in specs}

    def update() -> None:
        for status in _statuses(specs):
            if (status.step, status.epoch) != shown[status.fold]:
                shown[status.fold] = (status.step, status.epoch)
                _, step, epoch, best, left = cells(status)
                notes = [f'epoch {epoch}, best loss {best}'] if epoch else []
                notes += [f'{left} left'] if left else []
                logger.info('fold %s: %s', status.fold, ', '.join([step, *notes]))

    return update
