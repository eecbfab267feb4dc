"""Two runs never write into one folder.

folders of a run -> held until its process ends, in whatever way
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from mammo.engine.checkpoint import CheckpointError
from mammo.engine.saving.files import saving

NAME = 'train.lock'


@contextmanager
def locked(*folders: Path) -> Iterator[None]:
    """Hold the folders of a run; the kernel gives them back when its process ends, killed or not.

    Raises:
        CheckpointError: another run holds one of them.
    """
    with ExitStack() as held:
        for folder in dict.fromkeys(path.resolve() for path in folders):
            held.enter_context(_locked(folder))
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / NAME)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise CheckpointError(_refusal(folder)) from None
    try:
        started = datetime.now().astimezone().isoformat(timespec='seconds')
        owner = dict(host=socket.gethostname(), pid=os.getpid(), started=started)
        with saving(folder / NAME):
            (folder / NAME).write_text(
                json.dumps(owner)
            )  # in place: another file of that name would not be locked
        yield
    finally:
        lock.release()


def _refusal(folder: Path) -> str:
    try:
        owner = json.loads((folder / NAME).read_text())
        who = f'process {owner["pid"]} on {owner["host"]}, started {owner["started"]},'
    except (OSError, ValueError, KeyError, TypeError):  # just being written
        who = 'another run'
    return (
        f'{folder}: {who} is training into this folder. Wait for it or stop it, or choose another --work-dir'
    )
