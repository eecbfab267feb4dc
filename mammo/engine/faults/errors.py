"""What a run says that had to stop: the cause, the batch at hand, what to change, where to go on.

error of torch, runner -> one message
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.runner import Runner

from mammo.engine.faults.batch_watch import BatchWatchHook, where_to_go_on
from mammo.errors import Exit, UserError
from mammo.records.storage.pickles import memory_ran_out


class ResourceError(UserError):
    """Memory ran out, or a dataloader worker was killed; the message says what to change."""

    exit_code = Exit.NO_RESOURCES


WORKER = re.compile(r'DataLoader worker \(pid|unable to (open|write to|mmap).*(shared memory|/torch_)', re.I)


@contextmanager
def resources_explained(runner: Runner | None = None) -> Iterator[None]:
    """Turn what torch raises for exhausted memory and lost workers into one message with a remedy.

    Raises:
        ResourceError: memory ran out, or a worker was killed.
    """
    try:
        yield
    except ResourceError:
        raise
    except (RuntimeError, MemoryError, OSError) as error:
        if memory_ran_out(error):
            message = _memory_message(runner)
        elif WORKER.search(str(error)):
            message = _worker_message(runner)
        else:
            raise
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        raise ResourceError(f'{message} ({reason})') from error


def _memory_message(runner: Runner | None) -> str:
    mode, batch, loader = _at_hand(runner)
    remedy = f'lower {mode}_dataloader.batch_size (now {loader.get("batch_size")})'
    if runner is None or mode != 'train':
        return f'memory ran out with {batch}; {remedy}'
    counts = (runner.cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    return (
        f'memory ran out with {batch}; {remedy} and raise optim_wrapper.accumulative_counts (now {counts}) '
        f'as much to keep the total, or use --amp or smaller images. Then {where_to_go_on(runner)}'
    )


def _worker_message(runner: Runner | None) -> str:
    mode, batch, loader = _at_hand(runner)
    go_on = f'. Then {where_to_go_on(runner)}' if runner and mode == 'train' else ''
    return (
        f'a dataloader worker was killed, most often because memory ended, with {batch}; lower '
        f'{mode}_dataloader.num_workers (now {loader.get("num_workers")}) or .batch_size (now '
        f'{loader.get("batch_size")}), or give more shared memory (/dev/shm; docker run --shm-size=8g){go_on}'
    )


def _at_hand(runner: Runner | None) -> tuple[str, str, dict]:
    """Kind of loop, its batch in words, and the config of its dataloader."""
    if runner is None:
        return 'test', 'a batch of unknown size', {}
    watch = next((hook for hook in runner.hooks if isinstance(hook, BatchWatchHook)), BatchWatchHook())
    return watch.mode, watch.batch, runner.cfg.get(f'{watch.mode}_dataloader') or {}
