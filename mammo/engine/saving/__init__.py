"""Checkpoints that survive kills: how they are written, found again, and gone on from."""

from mammo.engine.saving.early_stopping import EarlyStoppingHook
from mammo.engine.saving.hook import CheckpointHook
from mammo.engine.saving.stop import ResumableTrainLoop
