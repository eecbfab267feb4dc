"""The runner, hooks and safe loading; importing this package registers them with mmengine."""

from engine.amp import Bf16OptimWrapper
from engine.checkpoint import CheckpointError, load_from_file
from engine.data_check import DataCheckHook
from engine.image_check import DataError
from engine.log import MammoLogProcessor
from engine.plain_state import PlainCheckpointHook
from engine.runner import MammoRunner
from engine.seed import EpochSeedHook, seed_worker

__all__ = [
    'Bf16OptimWrapper',
    'CheckpointError',
    'DataCheckHook',
    'DataError',
    'EpochSeedHook',
    'MammoLogProcessor',
    'MammoRunner',
    'PlainCheckpointHook',
    'load_from_file',
    'seed_worker',
]
