"""What a run logs: validation metrics as they are, and lines to standard error.

message hub -> numbers of a log line, JSON log and TensorBoard; logger -> one that spares standard output
"""

from logging import ERROR, INFO, WARNING, FileHandler, Logger, StreamHandler
from typing import Any

from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmengine.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor, Runner

from mammo.terminal import TERMINAL


def tell(text: str, level: int = INFO) -> None:
    """A line in the log of the run at hand, and on the terminal."""
    print_log(text, 'current', level)


def warn(text: str) -> None:
    """The same, as a warning."""
    tell(text, WARNING)


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


def use_terminal(logger: Logger) -> None:
    """A logger of mmengine writes to its file as before, and to standard error instead of standard output.

    Processes other than the first say errors only.
    """
    others = [h for h in logger.handlers if isinstance(h, FileHandler) or not isinstance(h, StreamHandler)]
    terminal = TERMINAL if get_rank() == 0 else StreamHandler()
    if terminal is not TERMINAL:
        terminal.setLevel(ERROR)
    logger.handlers = [terminal, *others]
