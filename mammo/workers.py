"""Many independent calls, here, in other processes, or on a Dask cluster that somebody else runs.

function, items, number of processes or address -> (item, result) as they come
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from mammo.errors import UserError

Item = TypeVar('Item')
Result = TypeVar('Result')
TIMEOUT_S = 15  # for a scheduler to answer
DIED = 'the process that had this input died, mostly out of memory'
AHEAD = 2  # calls per process that wait in its pipe, so that none is idle


class WorkerDiedError(UserError):
    """The process that had an item was killed, mostly out of memory; the result of that item."""


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
    """Call a function for every item.

    Other processes are talked to through pipes only they and this process hold: no port, no socket.

    Args:
        function: picklable, as are items and results.
        items: in any number.
        workers: processes; 1 works in this one.
        scheduler: address of a Dask scheduler, in place of ``workers``; it is used as it is.
        warn: takes a line that the user should read.

    Yields:
        Item and result, in the order in which they are done; a WorkerDiedError where the process died
        again when it had nothing but this item.
    """
    if scheduler is not None:
        yield from _on_cluster(function, items, scheduler, warn)
    elif workers == 1:
        yield from ((item, function(item)) for item in items)
    else:
        yield from _in_processes(function, items, workers)


def _in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
    todo = list(items)[::-1]
    while todo:
        running: dict[Future[Result], Item] = {}
        pool = _pool(min(workers, len(todo)))
        try:
            while todo or running:
                while todo and len(running) < AHEAD * workers:
                    future = _submit(pool, function, todo[-1])
                    running[future] = todo.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            pass  # one of the running items has killed its process, and all of them are lost
        finally:
            pool.shutdown(cancel_futures=True)
        for item in running.values():
            yield item, _alone(function, item)


def _alone(function: Callable[[Item], Result], item: Item) -> Result | WorkerDiedError:
    with _pool(1) as pool:
        try:
            return _submit(pool, function, item).result()
        except BrokenProcessPool:
            return WorkerDiedError(DIED)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, get_context('spawn'))  # forking copies locks in an unknown state


def _submit(pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Submit, which may start a process: Ctrl-C is for this process, which then ends the others."""
    if threading.current_thread() is not threading.main_thread():
        return pool.submit(function, item)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a new process takes it over
    try:
        return pool.submit(function, item)
    finally:
        signal.signal(signal.SIGINT, handler)


def connect(address: str, warn: Callable[[str], None]) -> Any:
    """A client of a Dask cluster that somebody else runs.

    Raises:
        UserError: nobody answers there.
    """
    logging.getLogger('distributed').setLevel(logging.ERROR)  # its start and end are no news
    from dask.distributed import Client

    if not address.startswith('tls:'):
        warn(f'{address} has no TLS: whoever reaches it can run code as you, and read what is sent')
    try:
        return Client(address, timeout=TIMEOUT_S)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise UserError(
            f'--scheduler {address}: no Dask scheduler answers there ({error or type(error).__name__}); '
            'start one, or check the address'
        ) from None


def _on_cluster(
    function: Callable[[Item], Any], items: Sequence[Item], address: str, warn: Callable[[str], None]
) -> Iterator[tuple[Item, Any]]:
    with connect(address, warn) as client:
        from dask.distributed import as_completed

        futures = client.map(function, items, pure=False)
        item_of = {future.key: item for future, item in zip(futures, items, strict=True)}
        for future in as_completed(futures):
            item = item_of[future.key]
            if future.status == 'finished':
                yield item, future.result()
            else:  # Dask has tried again on other workers, and they died too
                yield item, WorkerDiedError(DIED)
