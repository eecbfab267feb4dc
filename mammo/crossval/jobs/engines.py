"""Where folds run: processes of this machine, a SLURM job array, or the workers of a Dask cluster.

specs -> an engine that runs them; results are files, so engines only say whether they still run
"""

import itertools
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import joblib
import torch

from mammo.crossval.jobs.job import run_fold, stop_all
from mammo.workers import connect

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """A place where folds run."""

    def running(self) -> bool:
        """Whether any fold still waits or runs."""

    def close(self) -> None:
        """End what runs, or leave it to the place."""


class LocalEngine:
    """``n_devices`` folds at once, each in a process of its own: on as many GPUs, or sharing the cores."""

    def __init__(self, specs: Sequence[dict[str, Any]], n_devices: int | None) -> None:
        devices = gpus()
        count = n_devices or len(devices) or 1
        threads = None if devices or 'OMP_NUM_THREADS' in os.environ else max(1, joblib.cpu_count() // count)
        self._of_thread = threading.local()
        turn = itertools.cycle(devices or [None])
        self._pool = ThreadPoolExecutor(count, initializer=self._take_device, initargs=(turn,))
        self._futures: list[Future] = [
            self._pool.submit(self._run, spec | dict(threads=threads)) for spec in specs
        ]

    def _take_device(self, turn: Iterator[str | None]) -> None:
        self._of_thread.device = next(turn)

    def _run(self, spec: dict[str, Any]) -> None:
        try:
            run_fold(spec, self._of_thread.device)
        except OSError:  # no room for the log, say; the fold stays unfinished and is named at the end
            logger.exception('fold %s', spec['name'])

    def running(self) -> bool:
        """Whether a fold is still at work or waits."""
        return not all(future.done() for future in self._futures)

    def close(self) -> None:
        """End what still runs, with the processes that it has started."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self.running():
            stop_all()
        self._pool.shutdown()


class DaskEngine:
    """The workers of a cluster, which can import this project and see the same files.

    Raises:
        UserError: nobody answers at the address.
    """

    def __init__(self, specs: Sequence[dict[str, Any]], address: str) -> None:
        self._client = connect(address, logger.warning)
        self._futures = [
            self._client.submit(run_fold, spec, key=f'fold {spec["name"]} {spec["folder"]}', pure=False)
            for spec in specs
        ]

    def running(self) -> bool:
        """Whether a fold is still at work or waits."""
        return not all(future.done() for future in self._futures)

    def close(self) -> None:
        """Cancel what still runs, and say why workers died; the cluster goes on."""
        for future in self._futures:
            if future.status == 'error':  # its workers died, again and again
                logger.warning('%s: %s', future.key, future.exception())
        self._client.cancel(self._futures)
        self._client.close()


def gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES may be for one process each."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    names = visible.split(',') if visible else [str(i) for i in range(torch.cuda.device_count())]
    return names[: torch.cuda.device_count()]
