"""What happens when a step or the machine fails: skip, explain, and say how to go on."""

from engine.faults.batch_watch import BatchWatchHook, NotFiniteError
from engine.faults.errors import ResourceError, resources_explained
from engine.faults.finite_steps import FiniteAmpOptimWrapper, FiniteOptimWrapper

__all__ = [
    'BatchWatchHook',
    'FiniteAmpOptimWrapper',
    'FiniteOptimWrapper',
    'NotFiniteError',
    'ResourceError',
    'resources_explained',
]
