"""One run at a time in a folder.

path of a lock file -> held until the process ends, in whatever way
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from mammo.errors import UserError


@contextmanager
def locked(path: Path, doing: str, remedy: str) -> Iterator[None]:
    """Hold a lock file; the kernel gives it back when the process ends, killed or not.

    Args:
        path: of the lock file; its folder is made. While it is held, it names the owner.
        doing: what it does there, such as ``writes into``.
        remedy: what the other one has to do, such as ``choose another --out-dir``.

    Raises:
        UserError: another run holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        text = f'{path.parent}: {_owner(path)} {doing} this folder. Wait for it or stop it, or {remedy}'
        raise UserError(text) from None
    started = datetime.now().astimezone().isoformat(timespec='seconds')
    try:  # written in place: another file of that name would not be locked
        path.write_text(json.dumps(dict(host=socket.gethostname(), pid=os.getpid(), started=started)))
        yield
    finally:
        path.write_text('')
        lock.release()


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f'process {owner["pid"]} on {owner["host"]}, started {owner["started"]},'
    except (OSError, ValueError, KeyError, TypeError):  # just being written
        return 'another run'
