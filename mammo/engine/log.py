"""Validation metrics are logged as they are.

message hub -> the numbers of a log line, JSON log and TensorBoard
"""

from typing import Any

from mmengine.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor, Runner


@LOG_PROCESSORS.register_module()
class MammoLogProcessor(LogProcessor):
    """LogProcessor that smooths losses over training iterations only.

    NOTE[DIFF]: the stock class averages every key that contains "loss", and so logs the mean of
    ``N_loss`` over all validations so far as the loss of the last one.
    """

    mean_pattern: str

    def _collect_scalars(
        self, custom_cfg: list[dict], runner: Runner, mode: str, *args: Any, **kwargs: Any
    ) -> dict:
        training_pattern: str = self.mean_pattern
        if mode != 'train':
            self.mean_pattern = r'^(data_)?time$'
        try:
            return super()._collect_scalars(custom_cfg, runner, mode, *args, **kwargs)
        finally:
            self.mean_pattern = training_pattern
