"""What a config leaves open, filled in before anything is built of it.

config with data, published or our own -> the same with kinds of tasks, loaders and trackers
"""

from mmengine.config import Config

from mammo.engine.config.tasks import resolve_tasks, train_meta
from mammo.engine.config.text import format_once
from mammo.engine.monitor.trackers import add_trackers


def complete(cfg: Config) -> None:
    """Complete tasks, loaders and trackers in place.

    Raises:
        UserError: the config cannot be used.
    """
    resolve_tasks(cfg, train_meta(cfg))
    format_once(cfg)
    add_trackers(cfg)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(key):
            complete_loader(cfg[key], is_training=key == 'train_dataloader')
    if cfg.get('train_dataloader'):
        # NOTE[DIFF]: workers that outlive an epoch have random numbers that a resumed run cannot have
        cfg.train_dataloader.persistent_workers = False
    for key in ('train_dataloader', 'val_dataloader'):  # signals are for the main process
        if cfg.get(key):
            cfg[key].setdefault('worker_init_fn', dict(type='seed_worker'))


def complete_loader(loader: Config, *, is_training: bool) -> None:
    """Settings that published configs leave to the published tools, and those that torch wants."""
    loader.setdefault('collate_fn', dict(type='default_collate'))
    if loader.get('num_workers', 0) == 0:
        loader.persistent_workers = False  # torch refuses it without workers
    if not is_training and loader.dataset.get('pipeline') is not None:
        # NOTE[DIFF]: published configs leave it False, so that a damaged image is replaced by another
        loader.dataset.setdefault('test_mode', True)
