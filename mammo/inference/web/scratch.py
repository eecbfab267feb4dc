"""Where uploads lie while their exam is computed, and that nothing stays there.

-> a private folder of temporary files, which ends with this process; those of dead processes are removed
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX, LOCK = 'exam-', '.calculator.lock'


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that this process holds until it ends, in whatever way; those of dead ones are removed."""
    place = Path(tempfile.gettempdir())
    remove_left(place)
    draft = Path(tempfile.mkdtemp(prefix=f'.{PREFIX}', dir=place))
    with FileLock(draft / LOCK):  # before it has its name, so that no other start takes it for a dead one
        folder = draft.rename(place / draft.name[1:])
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_left(place: Path) -> None:
    """Remove folders of this user's calculators that are dead: the kernel has given back their locks."""
    for folder in place.glob(f'{PREFIX}*'):
        with suppress(Timeout, OSError):  # alive, of somebody else, or gone by now
            is_own = not folder.is_symlink() and folder.stat().st_uid == os.getuid()
            if is_own and (folder / LOCK).is_file():
                with FileLock(folder / LOCK, timeout=0):
                    shutil.rmtree(folder)
