"""The runner, hooks, metrics and safe loading; importing this package registers them with mmengine."""

import models  # isort: split

from mammo.engine.checks.data import DataCheckHook
from mammo.engine.faults import BatchWatchHook, Bf16OptimWrapper, FiniteAmpOptimWrapper, FiniteOptimWrapper
from mammo.engine.loading.checkpoint import CheckpointError, load_from_file
from mammo.engine.log import MammoLogProcessor
from mammo.engine.monitor import (
    CurvesHook,
    LearningMonitorHook,
    MLflowTracker,
    ProgressHook,
    TensorboardTracker,
    WandbTracker,
)
from mammo.engine.pretrain import SwAVHook
from mammo.engine.pretrain.backbone_export import BackboneExportHook
from mammo.engine.runner import MammoRunner
from mammo.engine.saving import CheckpointHook, EarlyStoppingHook, ResumableTrainLoop
from mammo.engine.saving.plain_state import PlainCheckpointHook
from mammo.engine.scoring.metrics import AUC, R2, BinaryCrossEntropy, MSELoss, MultiTasksMetric
from mammo.engine.scoring.writer import PredictionWriter
from mammo.engine.seed import EpochSeedHook, seed_worker
from mammo.engine.stock import AverageTaskTTA, UniversalVisualizer, extend_inferencer
from mammo.errors import DataError

extend_inferencer()
