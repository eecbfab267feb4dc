"""What a fold says of itself on disk: its step, its result, and how far its training is.

folder of a fold -> Status(step, epoch, best metric, seconds left)
"""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from mammo.records.storage.files import read_json_lines, write_json

STATE, FINISHED, LOG, LOCK = 'state.json', 'fold.json', 'log.txt', '.lock'
CACHE = 'cache'  # folder and name of what runs before the folds, if their maps are kept


class Status(NamedTuple):
    """A row of the live table."""

    fold: str
    step: str  # waiting, train, test, ..., finished, failed
    epoch: int | None = None
    best: float | None = None  # lowest validation loss of the main task
    left_s: float | None = None  # of training


def write_state(folder: Path, step: str, **facts: Any) -> None:
    """Tell the table what the fold does now."""
    write_json(folder / STATE, dict(step=step, since=time.time(), **facts))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def finished(spec: dict[str, Any]) -> bool:
    """Whether every step of the fold is done, also for external sets and fusion that were added later."""
    record = read_json(Path(spec['folder']) / FINISHED)
    return bool(record) and set(spec['wanted']) <= set(record['done'])


def in_use(folder: Path) -> bool:
    """Whether a process works on the fold, and so holds its lock."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except (Timeout, PermissionError):
        return True


def read_status(spec: dict[str, Any]) -> Status:
    """State of one fold, from its own files."""
    folder = Path(spec['folder'])
    state = read_json(folder / STATE)
    step = 'finished' if finished(spec) else state.get('step', 'waiting')
    logs = sorted((folder / 'checkpoints').glob('*/vis_data/scalars.json'))
    validations = [_validations(log, spec['main_task']) for log in logs]
    rows = [row for part in validations for row in part]
    if not rows:
        return Status(spec['name'], step)
    epoch = max(row['step'] for row in rows)
    left_s = None
    if step == 'train' and validations[-1] and logs[-1].stat().st_mtime >= state['since']:
        pace = (logs[-1].stat().st_mtime - state['since']) / len(validations[-1])  # seconds per epoch
        left_s = max(0.0, pace * (spec['max_epochs'] - epoch) - (time.time() - logs[-1].stat().st_mtime))
    return Status(spec['name'], step, epoch, min(row['loss'] for row in rows), left_s)


def tail(folder: Path, lines: int = 20) -> str:
    """The end of the fold's log."""
    log = folder / LOG
    text = log.read_text(encoding='utf-8', errors='replace') if log.is_file() else '(no log)'
    return '\n'.join(text.splitlines()[-lines:])


def _validations(path: Path, main_task: str) -> list[dict[str, Any]]:
    """Lines of mmengine's scalars that tell of a validation, with the loss of the main task."""
    validations = []
    for row in read_json_lines(path):
        loss = row.get(f'{main_task}_loss', row.get('loss'))  # bare where there is but one task
        if 'iter' not in row and loss is not None:
            validations.append(row | dict(loss=loss))
    return validations
