"""Two runs never train into one folder.

folders of a run -> held until its process ends, in whatever way
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mammo.engine.saving.files import saving
from mammo.records.lock import locked as locked_file

NAME = 'train.lock'


@contextmanager
def locked(*folders: Path) -> Iterator[None]:
    """Hold the folders of a run; the kernel gives them back when its process ends, killed or not.

    Raises:
        LockedError: another run holds one of them.
        CheckpointError: a folder cannot be written.
    """
    with ExitStack() as stack:
        for folder in dict.fromkeys(path.resolve() for path in folders):
            with saving(folder):
                stack.enter_context(
                    locked_file(folder / NAME, 'is training into', 'choose another --work-dir')
                )
        yield
