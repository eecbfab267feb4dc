"""TensorBoard, if it is installed.

scalars of a run -> event files beside scalars.json
"""

from importlib.util import find_spec
from numbers import Number
from typing import Any

from mmengine.registry import VISBACKENDS
from mmengine.visualization import TensorboardVisBackend


@VISBACKENDS.register_module()
class TensorboardIfInstalled(TensorboardVisBackend):
    """Stock backend that does without TensorBoard, and keeps training and validation apart.

    Tags start with ``train/`` or ``val/``: the stock class draws the ``N_loss`` of both, the one by
    iteration, the other by epoch, as one curve. Undefined metrics (None) are left out.
    """

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Nothing: the config lies in the work dir, and so a test run makes no event file."""

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        if find_spec('tensorboard') is not None:
            mode = 'train' if 'iter' in scalar_dict else 'val'
            named = {key if '/' in key else f'{mode}/{key}': value for key, value in scalar_dict.items()}
            super().add_scalars({key: v for key, v in named.items() if isinstance(v, Number)}, step)
