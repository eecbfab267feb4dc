"""TensorBoard, MLflow and Weights & Biases, each a fragment in configs/_base_/trackers/.

scalars and config of a training run -> event files, an MLflow run, a W&B run
"""

import os
import re
import threading
from collections.abc import Callable
from numbers import Number
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import MLflowVisBackend, TensorboardVisBackend, WandbVisBackend

from mammo.engine.log import warn

PREFIX = 'tracker_'  # of the keys of a config; a key each, because the keys of two fragments must differ


def add_trackers(cfg: Config) -> None:
    """Give the trackers that a config names to its visualizer, once."""
    trackers = [dict(cfg[key]) for key in cfg if key.startswith(PREFIX) and cfg[key]]
    if trackers and 'visualizer' in cfg:
        backends = list(cfg.visualizer.get('vis_backends') or [])
        cfg.visualizer.vis_backends = backends + [tracker for tracker in trackers if tracker not in backends]


class _Tracker:
    """What the stock backends lack.

    Tags start with ``train/`` or ``val/``: the stock classes draw the ``N_loss`` of both, the one by
    iteration, the other by epoch, as one curve. Undefined metrics (None) are left out. Nothing is opened
    before the first numbers, so that tests and feature extraction leave no empty runs behind.

    A tracker never ends a run: what it cannot do is one warning, and it is left alone from then on.
    """

    _config: Config | None = None
    _is_off = False

    def add_config(self, config: Config, **kwargs: Any) -> None:
        self._config = config

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        mode = 'train' if 'iter' in scalar_dict else 'val'
        named = {key if '/' in key else f'{mode}/{key}': value for key, value in scalar_dict.items()}
        numbers = {key: v for key, v in named.items() if isinstance(v, Number)}
        self._attempt(lambda: self._send(numbers | {f'{mode}/step': step}, step))

    def add_image(self, *args: Any, **kwargs: Any) -> None:
        self._attempt(lambda: super(_Tracker, self).add_image(*args, **kwargs))  # type: ignore[misc]

    def close(self) -> None:
        self._attempt(super().close)  # type: ignore[misc]

    def _attempt(self, work: Callable[[], None]) -> None:
        if self._is_off:
            return
        try:
            if self._config is not None:
                config, self._config = self._config, None
                self._write_config(config)
            work()
        except Exception as error:  # of any kind: the run is worth more than its record elsewhere
            self._is_off = True
            reason = str(error).strip().split('\n')[0] or type(error).__name__
            warn(f'{type(self).__name__}: {reason}. The run goes on without it; scalars.json has all numbers')

    def _send(self, numbers: dict[str, Any], step: int) -> None:
        super().add_scalars(numbers, step)  # type: ignore[misc]

    def _write_config(self, config: Config) -> None:
        super().add_config(config)  # type: ignore[misc]


@VISBACKENDS.register_module()
class TensorboardTracker(_Tracker, TensorboardVisBackend):
    """Event files beside scalars.json."""


@VISBACKENDS.register_module()
class MLflowTracker(_Tracker, MLflowVisBackend):
    """A run of MLflow for every start of a training, in ``tracking_uri``: a folder, database or server.

    A folder takes the runs of all folds at once, which a SQLite file on a cluster's disk does not; newer
    versions of MLflow must be told that a folder is meant. A server that is away is asked twice, not eight
    times over minutes. Characters that MLflow refuses in a name become ``_``.
    """

    def __init__(self, save_dir: str, tracking_uri: str, **kwargs: Any) -> None:
        if '://' not in tracking_uri:
            tracking_uri = Path(tracking_uri).resolve().as_uri()
            os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
        os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')
        os.environ.setdefault('MLFLOW_HTTP_REQUEST_MAX_RETRIES', '1')
        os.environ.setdefault('MLFLOW_HTTP_REQUEST_TIMEOUT', '10')  # seconds
        self._names: dict[str, str] = {}  # as MLflow takes them, by ours
        super().__init__(save_dir, tracking_uri=tracking_uri, **kwargs)

    def _send(self, numbers: dict[str, Any], step: int) -> None:
        """Not by the stock method, which says at every call that the server is away."""
        self.experiment.log_metrics({self._name(key): value for key, value in numbers.items()}, step)

    def _write_config(self, config: Config) -> None:
        self.cfg = config  # the stock close() reads its work dir
        keys = self._tracked_config_keys
        tracked = config.to_dict() if keys is None else {key: config[key] for key in keys}
        params = self._flatten(tracked)
        self.experiment.log_params({self._name(key): value for key, value in params.items()})
        self.experiment.log_text(config.pretty_text, 'config.py')

    def _name(self, name: str) -> str:
        if name not in self._names:
            allowed = re.sub(r'[^\w\-./ ]', '_', name)
            while allowed in self._names.values():  # of another name
                allowed += '_'
            self._names[name] = allowed
        return self._names[name]


@VISBACKENDS.register_module()
class WandbTracker(_Tracker, WandbVisBackend):
    """A run of Weights & Biases for every start of a training."""

    CLOSE_S = 60  # what is not sent by then stays on this disk, from where ``wandb sync`` sends it

    def __init__(self, save_dir: str, **kwargs: Any) -> None:
        # error reporting calls its maker's server even with mode='offline'
        os.environ.setdefault('WANDB_ERROR_REPORTING', 'false')
        os.environ.setdefault('WANDB_INIT_TIMEOUT', '30')  # seconds
        super().__init__(save_dir, **kwargs)

    def close(self) -> None:
        """Send what is left, for ``CLOSE_S`` seconds at most."""
        closing = threading.Thread(target=super().close, daemon=True)
        closing.start()
        closing.join(self.CLOSE_S)

    def _write_config(self, config: Config) -> None:
        """The settings only: the stock class adds every Python file below the current folder."""
        self.experiment.config.update(config.to_dict())
