"""TensorBoard, MLflow and Weights & Biases, each a fragment in configs/_base_/trackers/.

scalars and config of a training run -> event files, an MLflow run, a W&B run
"""

import os
from numbers import Number
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import MLflowVisBackend, TensorboardVisBackend, WandbVisBackend

PREFIX = 'tracker_'  # of the keys of a config; a key each, because the keys of two fragments must differ


def add_trackers(cfg: Config) -> None:
    """Give the trackers that a config names to its visualizer, once."""
    found = [dict(cfg[key]) for key in cfg if key.startswith(PREFIX) and cfg[key]]
    if found and 'visualizer' in cfg:
        own = list(cfg.visualizer.get('vis_backends') or [])
        cfg.visualizer.vis_backends = own + [tracker for tracker in found if tracker not in own]


class _Tracker:
    """What the stock backends lack.

    Tags start with ``train/`` or ``val/``: the stock classes draw the ``N_loss`` of both, the one by
    iteration, the other by epoch, as one curve. Undefined metrics (None) are left out. Nothing is opened
    before the first numbers, so that tests and feature extraction leave no empty runs behind.
    """

    _config: Config | None = None

    def add_config(self, config: Config, **kwargs: Any) -> None:
        self._config = config

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        mode = 'train' if 'iter' in scalar_dict else 'val'
        named = {key if '/' in key else f'{mode}/{key}': value for key, value in scalar_dict.items()}
        if self._config is not None:
            config, self._config = self._config, None
            self._write_config(config)
        numbers = {key: v for key, v in named.items() if isinstance(v, Number)}
        super().add_scalars(numbers | {f'{mode}/step': step}, step)  # type: ignore[misc]

    def _write_config(self, config: Config) -> None:
        super().add_config(config)  # type: ignore[misc]


@VISBACKENDS.register_module()
class TensorboardTracker(_Tracker, TensorboardVisBackend):
    """Event files beside scalars.json."""


@VISBACKENDS.register_module()
class MLflowTracker(_Tracker, MLflowVisBackend):
    """A run of MLflow for every start of a training, in ``tracking_uri``: a folder, database or server.

    A folder takes the runs of all folds at once, which a SQLite file on a cluster's disk does not; newer
    versions of MLflow must be told that a folder is meant.
    """

    def __init__(self, save_dir: str, tracking_uri: str, **kwargs: Any) -> None:
        if '://' not in tracking_uri:
            tracking_uri = Path(tracking_uri).resolve().as_uri()
            os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
        os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')
        super().__init__(save_dir, tracking_uri=tracking_uri, **kwargs)


@VISBACKENDS.register_module()
class WandbTracker(_Tracker, WandbVisBackend):
    """A run of Weights & Biases for every start of a training."""

    def __init__(self, save_dir: str, **kwargs: Any) -> None:
        # error reporting calls its maker's server even with mode='offline'
        os.environ.setdefault('WANDB_ERROR_REPORTING', 'false')
        super().__init__(save_dir, **kwargs)

    def _write_config(self, config: Config) -> None:
        """The settings only: the stock class adds every Python file below the current folder."""
        self.experiment.config.update(config.to_dict())
