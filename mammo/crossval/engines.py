"""Where folds run: processes of this machine, a SLURM job array, or the workers of a Dask cluster.

specs -> an engine that runs them; results are files, so engines only say whether they still run
"""

import logging
import os
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch

from mammo.crossval.job import run_fold, stop_all

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """A place where folds run."""

    def running(self) -> bool:
        """Whether any fold still waits or runs."""


class LocalEngine:
    """``n_devices`` folds at once: on as many GPUs, or in CPU processes that share the cores."""

    def __init__(self, specs: Sequence[dict[str, Any]], n_devices: int | None) -> None:
        devices = gpus()
        count = n_devices or len(devices) or 1
        cores = len(os.sched_getaffinity(0))
        threads = None if devices or 'OMP_NUM_THREADS' in os.environ else max(1, cores // count)
        self._free: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for i in range(count):
            self._free.put(devices[i % len(devices)] if devices else None)
        self._pool = ThreadPoolExecutor(count)
        self._futures: list[Future] = [
            self._pool.submit(self._run, spec | dict(threads=threads)) for spec in specs
        ]

    def _run(self, spec: dict[str, Any]) -> None:
        device = self._free.get()
        try:
            run_fold(spec, device)
        except OSError:  # no room for the log, say; the fold stays unfinished and is named at the end
            logger.exception('fold %s', spec['name'])
        finally:
            self._free.put(device)

    def running(self) -> bool:
        return not all(future.done() for future in self._futures)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self.running():
            stop_all()
        self._pool.shutdown()


class DaskEngine:
    """The workers of a cluster, which can import this project and see the same files."""

    def __init__(self, specs: Sequence[dict[str, Any]], address: str) -> None:
        from dask.distributed import Client

        self._client = Client(address, timeout='30s')
        self._futures = [
            self._client.submit(run_fold, spec, key=f'fold {spec["name"]} {spec["folder"]}', pure=False)
            for spec in specs
        ]

    def running(self) -> bool:
        return not all(future.done() for future in self._futures)

    def close(self) -> None:
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
