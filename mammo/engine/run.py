"""Training and testing as functions; the tools and the cross-validation call them.

config, checkpoints -> a run's folder, metrics, prediction files
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mammo.engine.config.data import use_fold
from mammo.engine.config.reading import read_config, set_options
from mammo.engine.config.tasks import name_tasks
from mammo.engine.launch import is_first_process
from mammo.engine.loading.checkpoint import trust_checkpoints
from mammo.engine.saving.files import checkpoint_folder, locked
from mammo.engine.saving.stop import handling_signals
from mammo.engine.stock.pictures import add_pictures
from mammo.engine.stock.tta import add_tta
from mammo.errors import Exit
from mammo.records.storage.files import write_json
from mammo.terminal import TERMINAL


def load_config(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    amp: bool = False,
    check_data: bool = True,
    trust_checkpoint: bool = False,
    launcher: str = 'none',
    local_rank: int = 0,
    verbose: bool = False,
    fold: str | Path | None = None,
    tasks: list[str] | None = None,
) -> Config:
    """A config with what the tools share merged in; see :mod:`mammo.options`.

    Raises:
        ConfigError: see :func:`mammo.engine.config.reading.read_config`.
    """
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    TERMINAL.is_verbose = verbose
    if trust_checkpoint:
        trust_checkpoints()
    if amp:  # the same numbers in all tools; float16, torch's choice on a GPU, overflows
        torch.set_autocast_dtype('cuda', torch.bfloat16)
    cfg = read_config(config)
    if fold:
        use_fold(cfg, fold)
    if tasks:
        name_tasks(cfg, tasks)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or f'work_dirs/{Path(config).stem}')
    if 'data_check' in cfg.default_hooks:
        cfg.default_hooks.data_check.check_data = check_data
    return cfg


def train(
    config: str | Path,
    *,
    resume: str | None = None,
    no_validate: bool = False,
    auto_scale_lr: bool = False,
    no_pin_memory: bool = False,
    strict_split: bool = False,
    cfg_options: list[str] | None = None,
    **shared: Any,
) -> Path:
    """Train, or go on training, until the run ends or is told to stop.

    Args:
        config: config file.
        resume: a checkpoint to go on from; ``'auto'``: the newest intact one of the run, if there is any.
        no_validate: train without validation.
        auto_scale_lr: scale the learning rate with the batch size.
        no_pin_memory: dataloaders do not pin memory.
        strict_split: a patient or image in two splits is an error.
        cfg_options: ``key=value`` texts, which come last and win.
        **shared: see :func:`load_config`.

    Returns:
        What usually is used next: the backbone of a pretraining, else the best or the last checkpoint.

    Raises:
        UserError: config, data, checkpoints or folder cannot be used, or the training diverged.
    """
    with handling_signals(lambda *_: sys.exit(Exit.STOPPED)):  # until there is something to save
        cfg = load_config(config, **shared)
        if shared.get('amp'):
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
            cfg.optim_wrapper.setdefault('dtype', 'bfloat16')  # NOTE[DIFF]: published runs took float16
        if resume not in (None, 'auto'):
            cfg.resume, cfg.load_from = True, resume
        if auto_scale_lr:
            cfg.auto_scale_lr.enable = True
        for loader in filter(None, (cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test'))):
            loader.pin_memory = loader.get('pin_memory', True) and not no_pin_memory
        if strict_split:
            cfg.default_hooks.data_check.strict_split = True
        set_options(cfg, cfg_options)
        cfg.auto_resume = resume == 'auto'  # without checkpoints, the run starts as it would without
        if no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        folders = [Path(cfg.work_dir), checkpoint_folder(cfg)] if is_first_process(cfg.launcher) else []
        with locked(*folders):
            runner = RUNNERS.build(cfg)
            runner.train()
    if 'backbone_export' in cfg.default_hooks:
        return Path(cfg.work_dir, 'backbone.pth')
    infos = runner.message_hub.runtime_info
    return Path(infos.get('best_ckpt') or infos.get('last_ckpt') or cfg.work_dir)


def score(
    config: str | Path,
    checkpoint: str | Path,
    *,
    out: str | Path | None = None,
    out_item: str | None = None,
    no_pin_memory: bool = False,
    tta: bool = False,
    show_dir: str | Path | None = None,
    show: bool = False,
    interval: int = 1,
    wait_time: float = 2.0,
    cfg_options: list[str] | None = None,
    **shared: Any,
) -> dict[str, Any]:
    """Test a checkpoint on the config's test set.

    Args:
        config: config file.
        checkpoint: of a model of this config.
        out: file for the result: metrics (.json) or predictions (.pkl, .json, .csv).
        out_item: ``'metrics'`` or ``'pred'``, the default.
        no_pin_memory: the dataloader does not pin memory.
        tta: test-time augmentation, see :func:`mammo.engine.stock.tta.add_tta`.
        show_dir, show, interval, wait_time: see :func:`mammo.engine.stock.pictures.add_pictures`.
        cfg_options: ``key=value`` texts, which come last and win.
        **shared: see :func:`load_config`.

    Returns:
        The metrics.

    Raises:
        UserError: config, data or checkpoint cannot be used.
    """
    cfg = load_config(config, **shared)
    cfg.load_from, cfg.resume = str(checkpoint), False
    if shared.get('amp'):
        cfg.test_cfg.fp16 = True  # mmengine's name for any autocast; bfloat16 on CPU
    if out and out_item != 'metrics':
        evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        cfg.test_evaluator = [*evaluators, dict(type='PredictionWriter', out_file=str(out))]
    if no_pin_memory:
        cfg.test_dataloader.pin_memory = False
    if show or show_dir:
        add_pictures(cfg, out_dir=show_dir, show=show, interval=interval, wait_time=wait_time)
    set_options(cfg, cfg_options)
    if tta:
        add_tta(cfg)
    runner = RUNNERS.build(cfg)
    metrics: dict[str, Any] = runner.test()
    if out and out_item == 'metrics' and runner.rank == 0:
        write_json(out, metrics)
    return metrics
