"""Networks loaded by a process that will answer and not train: the same classes in half of the time.

MMEngine loads sharded training before any of its parts can be used, and torchvision the compiler of torch:
with what they need in turn (sympy among it) most of what a start costs beyond torch itself.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

TRAINING_ONLY = (
    'torch._dynamo.utils',
    'torch.distributed.optim',
    'torch.distributed.fsdp',
    'torch.distributed.fsdp.api',
    'torch.distributed.fsdp.fully_sharded_data_parallel',
)


def load_networks(launcher: str = 'none') -> None:
    """Import :mod:`models` and with it the frameworks, but for what only training needs.

    A part that was loaded before stays. Afterwards every part of torch can be imported as ever; only what
    MMEngine derives from those left out, ``MMFullyShardedDataParallel`` and ``ZeroRedundancyOptimizer``,
    cannot be made in this process.

    Args:
        launcher: of several processes that answer together. They load all: what wraps a network for them
            needs the compiler, which holds the group of processes for ever if it is loaded after it.
    """
    import torch  # noqa: F401  its own modules first: none of them is to find a placeholder

    with _placeholders(TRAINING_ONLY if launcher == 'none' else ()):
        import models  # noqa: F401


@contextmanager
def _placeholders(names: tuple[str, ...]) -> Iterator[None]:
    """Modules whose names stand for the real ones, which the first call loads."""
    placed = {name: _Placeholder(name) for name in names if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _Placeholder(ModuleType):
    """Has every name that is asked for: a class that may be derived from, and called as the real thing."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        module = self.__name__

        def make(cls: type, *args: Any, **kwargs: Any) -> Any:
            if '__new__' not in cls.__dict__:
                raise RuntimeError(
                    f'{cls.__name__} is for training, which this process left out; tools/train.py has it'
                )
            return getattr(importlib.import_module(module), name)(*args, **kwargs)

        return type(name, (), dict(__new__=make, __module__=module))
