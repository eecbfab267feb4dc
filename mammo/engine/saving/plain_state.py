"""Checkpoints hold tensors and plain values only, so that loading one never runs code.

message hub with its history objects <-> dicts, tensors, numbers
"""

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Turns the message hub of a checkpoint into plain values, and back after loading.

    NOTE[DIFF]: mmengine pickles its history objects, which ``torch.load(weights_only=True)`` refuses.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Turn what is no tensor and no plain value into such."""
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {key: history_to_plain(value) for key, value in hub['log_scalars'].items()}
        checkpoint['message_hub'] = to_plain(hub)
        checkpoint['meta'] = to_plain(checkpoint['meta'])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Turn plain histories back into those of mmengine."""
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        scalars.update(
            {key: history_from_plain(value) for key, value in scalars.items() if isinstance(value, dict)}
        )


def history_to_plain(history: HistoryBuffer) -> dict[str, Any]:
    """A history of scalars as two tensors (n,) and its length."""
    values, counts = history.data
    return dict(values=torch.tensor(values), counts=torch.tensor(counts), max_length=history.max_length)


def history_from_plain(plain: dict[str, Any]) -> HistoryBuffer:
    """What :func:`history_to_plain` made, as a history again."""
    return HistoryBuffer(plain['values'].tolist(), plain['counts'].tolist(), plain['max_length'])


def to_plain(value: Any) -> Any:
    """Nested mappings, sequences and numpy values -> dicts, lists, tensors and Python numbers."""
    if isinstance(value, dict):
        return {key: to_plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_plain(child) for child in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value
