"""The process of one fold: ``python -m mammo.crossval.fold SPEC``; mammo.crossval.jobs.job starts it.

spec file -> the steps of that fold; it ends with the process that has started it
"""

import os
import signal
import sys
import threading
from pathlib import Path

from mammo.command import command
from mammo.crossval.jobs.state import read_json


@command()
def main() -> None:
    """Do the steps that are not yet done."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    from mammo.crossval.steps import run_steps

    run_steps(read_json(Path(sys.argv[1])))


def _end_with_parent() -> None:
    """Standard input is a pipe that the parent never writes to: it ends when the parent does."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # this process and its dataloader workers


if __name__ == '__main__':
    main()
