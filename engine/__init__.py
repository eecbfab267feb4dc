"""The runner, hooks and safe loading; importing this package registers them with mmengine."""

from engine.amp import Bf16OptimWrapper
from engine.checkpoint import CheckpointError, load_from_file
from engine.data_check import DataCheckHook
from engine.faults import BatchWatchHook, FiniteAmpOptimWrapper, FiniteOptimWrapper
from engine.image_check import DataError
from engine.log import MammoLogProcessor
from engine.monitor import CurvesHook, LearningMonitorHook, MLflowTracker, TensorboardTracker, WandbTracker
from engine.plain_state import PlainCheckpointHook
from engine.pretrain import SwAVHook
from engine.pretrain.backbone_export import BackboneExportHook
from engine.runner import MammoRunner
from engine.saving import CheckpointHook, EarlyStoppingHook, ResumableTrainLoop
from engine.seed import EpochSeedHook, seed_worker

__all__ = [
    'BackboneExportHook',
    'BatchWatchHook',
    'Bf16OptimWrapper',
    'CheckpointError',
    'CheckpointHook',
    'CurvesHook',
    'DataCheckHook',
    'DataError',
    'EarlyStoppingHook',
    'EpochSeedHook',
    'FiniteAmpOptimWrapper',
    'FiniteOptimWrapper',
    'LearningMonitorHook',
    'MLflowTracker',
    'MammoLogProcessor',
    'MammoRunner',
    'PlainCheckpointHook',
    'ResumableTrainLoop',
    'SwAVHook',
    'TensorboardTracker',
    'WandbTracker',
    'load_from_file',
    'seed_worker',
]
