"""What the trials of run_all.py share: a folder with data, configs and a log, and a way to run a command.

folder, seed -> Trial
"""

from pathlib import Path

import numpy as np

from mammo.records.storage.pickles import CheckpointError, load_tensors
from tests.torture.toy_runs import write_runs

WHOLE = 'supervised_whole/epoch_4.pth'  # final checkpoint of the run that nothing disturbed


class Trial:
    """One folder for all trials."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.log = folder, folder / 'log.txt'
        self.rng = np.random.default_rng(seed)
        self.configs = write_runs(folder)
        self.environment = dict(XDG_CACHE_HOME=str(folder))

    def need_success(self, code: int) -> None:
        if code:
            raise RuntimeError(f'exit code {code}: {self.log.read_text()[-3000:]}')


def readable(path: Path) -> bool:
    try:
        load_tensors(path)
    except CheckpointError:
        return False
    return True
