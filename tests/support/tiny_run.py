"""A run that trains in a second: random numbers in data and model, warm-up and cosine, three epochs."""

import itertools
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, RUNNERS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import mammo.engine  # noqa: F401  (registers the runner)

counter = itertools.count()


class PowerCut(BaseException):
    """Ends a run at once, whatever it is doing."""


@HOOKS.register_module()
class StopAtHook(Hook):
    """Tells process ``rank`` to stop, or cuts its power (no signal), at a moment that was there before."""

    priority = 'LOWEST'

    def __init__(self, moment: str, count: int, signal_name: str | None = 'SIGTERM', rank: int = 0) -> None:
        self.count, self.signal_name = count, signal_name
        if get_rank() == rank:
            setattr(self, moment, self._call)

    def _call(self, *_: Any, **__: Any) -> None:
        if self.count == 0:
            if self.signal_name is None:
                raise PowerCut
            os.kill(os.getpid(), getattr(signal, self.signal_name))
        self.count -= 1


@HOOKS.register_module()
class PauseHook(Hook):
    """Waits before step ``count`` for a signal, once for all runs of a work dir; paused.RANK tells."""

    def __init__(self, count: int) -> None:
        self.count = count

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        mark = Path(runner.work_dir, f'paused.{get_rank()}')
        if runner.iter == self.count and not mark.exists():
            mark.touch()
            signal.pause()


@DATASETS.register_module()
class TinyData(Dataset):
    def __init__(self, length: int, augment: bool) -> None:
        self.length, self.augment, self.metainfo = length, augment, dict(tasks=['N'])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        x = torch.sin(torch.arange(8.0) * (i + 1))
        if self.augment:
            x = x + np.random.normal() * 0.1 + random.random() * 0.1 + torch.rand(8) * 0.1
        return dict(inputs=x.float(), label=torch.tensor([float(i % 2)]))


@MODELS.register_module()
class TinyModel(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 1)
        )

    def forward(self, inputs: torch.Tensor, label: torch.Tensor, mode: str = 'loss') -> Any:
        out = self.layers(inputs)
        if mode == 'loss':
            return dict(loss=nn.functional.binary_cross_entropy_with_logits(out, label))
        return [dict(logit=o, label=t) for o, t in zip(out, label, strict=True)]


@METRICS.register_module()
class TinyMetric(BaseMetric):
    def __init__(self, undefined: bool = False) -> None:
        super().__init__()
        self.undefined = undefined

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        self.results += [float((sample['logit'] - sample['label']).abs()) for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float | None]:
        return dict(N_loss=None if self.undefined else float(np.mean(results)))


def tiny_config(work_dir: Path | str) -> Config:
    def loader(length: int, augment: bool) -> dict:
        return dict(
            batch_size=4,
            num_workers=0,
            dataset=dict(type='TinyData', length=length, augment=augment),
            sampler=dict(type='DefaultSampler', shuffle=augment),
            collate_fn=dict(type='default_collate'),
        )

    return Config(
        dict(
            default_scope='mammo',
            model=dict(type='TinyModel'),
            work_dir=str(work_dir),
            train_dataloader=loader(20, True),
            val_dataloader=loader(8, False),
            train_cfg=dict(by_epoch=True, max_epochs=3),
            val_cfg=dict(),
            val_evaluator=dict(type='TinyMetric'),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, by_epoch=True, end=1, convert_to_iter_based=True),
                dict(type='CosineAnnealingLR', begin=1, by_epoch=True, convert_to_iter_based=True),
            ],
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto'),
                epoch_seed=dict(type='EpochSeedHook'),
                plain_checkpoint=dict(type='PlainCheckpointHook'),
            ),
            custom_hooks=[
                dict(type='EMAHook', momentum=0.1),
                dict(type='EarlyStoppingHook', monitor='N_loss', patience=50, min_delta=0.0),
            ],
            randomness=dict(seed=0),
            runner_type='MammoRunner',
            log_level='WARNING',
        )
    )


def train(work_dir: Path | str, stop: dict | None = None, **options: Any) -> dict[str, Any]:
    """Train with options merged in -> content of the last checkpoint."""
    cfg = tiny_config(work_dir)
    cfg.experiment_name = f'tiny_{next(counter)}_{random.getrandbits(32)}'
    cfg.merge_from_dict(options)
    if stop:
        cfg.custom_hooks = [*cfg.custom_hooks, dict(type='StopAtHook', **stop)]
    RUNNERS.build(cfg).train()
    return torch.load(Path(work_dir, 'last_checkpoint').read_text(), weights_only=True)
