"""Checkpoints that survive kills: how they are written, found again, and gone on from."""

from engine.saving.early_stopping import EarlyStoppingHook
from engine.saving.hook import CheckpointHook
from engine.saving.stop import STOPPED, ResumableTrainLoop

__all__ = ['STOPPED', 'CheckpointHook', 'EarlyStoppingHook', 'ResumableTrainLoop']
