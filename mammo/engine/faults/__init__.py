"""What happens when a step or the machine fails: skip, explain, and say how to go on."""

from mammo.engine.faults.batch_watch import BatchWatchHook, NotFiniteError
from mammo.engine.faults.errors import ResourceError, resources_explained
from mammo.engine.faults.finite_steps import Bf16OptimWrapper, FiniteAmpOptimWrapper, FiniteOptimWrapper
