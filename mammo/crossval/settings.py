"""What a cross-validation was started with, kept so that a later run cannot silently differ.

config, folds, external sets, fusion tables -> dict for cross_validate.json; old and new -> differences
"""

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mammo.crossval.folds import Fold
from mammo.crossval.jobs.slurm import refuse_queued
from mammo.crossval.jobs.state import CACHE, in_use
from mammo.engine.config.data import find_images
from mammo.engine.config.reading import read_config, set_options
from mammo.engine.config.tasks import name_tasks, resolve_tasks
from mammo.errors import DataError, listed
from mammo.records.differences import differences
from mammo.records.folds import PARTS
from mammo.records.storage.files import read_record as read_json_record
from mammo.records.storage.files import sha256_of, write_json, write_text
from mammo.records.versions import VERSIONS
from models.registry import MODELS

RECORD = 'cross_validate.json'
CONFIG = 'config.py'


def config_of(
    path: Path, options: Sequence[str], data_root: Path | None = None, tasks: Sequence[str] | None = None
) -> Config:
    """The config of all folds.

    Args:
        path: config file.
        options: ``key=value`` texts of ``--cfg-options``, which come last and win.
        data_root: folder of the images; default: the config's.
        tasks: names; default: the config's.
    """
    cfg = read_config(path)
    if tasks:
        name_tasks(cfg, tasks)
    for part in PARTS if data_root else ():
        cfg[f'{part}_dataloader'].dataset.data_root = str(data_root)
    set_options(cfg, options)
    cfg.default_hooks.checkpoint.pop('out_dir', None)  # checkpoints of all folds would meet there
    return cfg


def complete_data(cfg: Config, folds: Path, *, find: bool) -> None:
    """Take from the folds what a config leaves to them: where the images are, and kinds of tasks."""
    metas = sorted(folds.glob('*/*/train.json'))
    if metas:
        if find:
            find_images(cfg, metas[0])
        resolve_tasks(cfg, metas)


def tasks_of(cfg: Config) -> dict[str, str]:
    """Kind (binary, regression) of every task of a config, the main one first.

    Raises:
        DataError: the config declares no tasks.
    """
    if cfg.model.get('tasks'):
        return {task['name']: task['kind'] for task in cfg.model.tasks}
    head = cfg.model.head
    is_lone = hasattr(MODELS.get(head.type), 'kind')  # as published, of a single task
    heads = {cfg.model.get('task', 'N'): head} if is_lone else head.get('task_heads')
    if not heads:
        raise DataError(f'{cfg.filename}: model.tasks is empty; declare them as in configs/_base_/tasks.py')
    return {name: getattr(MODELS.get(of_task['type']), 'kind', 'binary') for name, of_task in heads.items()}


def describe(cfg: Config, folds: Sequence[Fold], files: Mapping[str, Path], **others: Any) -> dict[str, Any]:
    """All that decides about the result, with files by their content."""
    contents = {
        f'{fold.name}/{part}': _sha256(fold.folder / f'{part}.json') for fold in folds for part in PARTS
    }
    named = {name: _sha256(path) for name, path in files.items()}
    config = json.loads(json.dumps(cfg.to_dict(), default=str))
    return dict(config=config, folds=contents, files=named, **others)


def start_weights(cfg: Config) -> dict[str, Path]:
    """The local checkpoint files that training starts from, by the name that they have in the settings."""

    def named(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield value.get('checkpoint')  # of an init_cfg, which may be a list
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        yield from itertools.chain.from_iterable(map(named, children))

    names = [cfg.get('load_from'), *named(cfg.model.to_dict())]
    return {f'weights {name}': Path(name) for name in names if isinstance(name, str) and Path(name).is_file()}


def keep(work_dir: Path, cfg: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """Write the record and the config of a new work dir, or compare with those that are there.

    External sets and a fusion may be added to what is there; anything else may not change.

    Raises:
        DataError: the work dir was made with other settings; they are listed.
    """
    record = read_record(work_dir)
    if record:
        old = record['settings']
        if 'schema' not in old['files']:  # without a fusion the label decides about no fold
            old = old | dict(label=settings.get('label'))
        old = old | dict(config=with_preprocessor(old['config']))
        added = {name: digest for name, digest in settings['files'].items() if name not in old['files']}
        pairs = differences(old | dict(files=old['files'] | added), settings)
        lines = [f'{place}: {_short(before)} -> {_short(now)}' for place, before, now in pairs]
        if lines:
            raise DataError(
                f'{work_dir}: made with other settings:\n  ' + listed(lines, separator='\n  ') + '\n'
                'Take another --work-dir, or --fresh to throw away what is there'
            )
    else:
        write_text(work_dir / CONFIG, cfg.pretty_text)
    record = dict(format_version=VERSIONS['cross_validate'], settings=settings)
    write_json(work_dir / RECORD, record)
    return record


def with_preprocessor(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a record with the preprocessor in its model; older ones have it beside the model."""
    of_top = dict(data_preprocessor=config['data_preprocessor']) if 'data_preprocessor' in config else {}
    return config | dict(model=of_top | config['model'])


def read_record(work_dir: Path) -> dict[str, Any] | None:
    """The record of a work dir, None in a new one.

    Raises:
        UserError: the record is damaged or of another version.
    """
    path = work_dir / RECORD
    return read_json_record(path, remedy='take another --work-dir') if path.exists() else None


def throw_away(work_dir: Path) -> None:
    """Remove what a cross-validation left; a folder that is none is refused."""
    if not work_dir.is_dir() or not any(work_dir.iterdir()):
        return
    if not (work_dir / RECORD).is_file():
        raise DataError(
            f'--fresh: {work_dir} holds no {RECORD}; it is no cross-validation, empty it yourself'
        )
    refuse_queued(work_dir / 'slurm')
    folds = [spec.parent for spec in work_dir.glob('*/*/spec.json')]
    busy = [str(folder) for folder in (*folds, work_dir / CACHE) if in_use(folder)]
    if busy:
        raise DataError(f'--fresh: {", ".join(busy)} still runs; stop that run first, or wait for it')
    for folder in folds:
        shutil.rmtree(folder)
    for name in ('ensemble', 'report', 'slurm', CACHE):
        shutil.rmtree(work_dir / name, ignore_errors=True)
    (work_dir / RECORD).unlink()


def _short(value: Any) -> str:
    text = 'absent' if value is None else json.dumps(value)
    return text if len(text) <= 80 else f'{text[:77]}...'


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}; check the path') from None
