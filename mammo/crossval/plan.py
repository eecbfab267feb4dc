"""From a command line to the jobs of a cross-validation: read, check for leaks, compare with what is there.

arguments of tools/cross_validate.py -> Plan: folds, settings, and a spec (plain dict) per selected fold
"""

import os
import shutil
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mammo.crossval.folds import Fold, Part, check_labels, check_leaks, read_folds, read_part, selected
from mammo.crossval.settings import CONFIG, RECORD, describe, keep, read_config, start_weights, tasks_of
from mammo.crossval.slurm import refuse_queued
from mammo.crossval.state import CACHE, in_use
from mammo.errors import DataError
from mammo.fusion.clinical import read_clinical, read_schema
from mammo.preprocess.patches import patients_of_list
from mammo.records.meta import read_meta


class Plan(NamedTuple):
    """All that is known before the first fold starts."""

    work_dir: Path
    folds: list[Fold]
    specs: dict[str, dict[str, Any]]  # by name of the fold
    before: list[dict[str, Any]]  # what has to be finished before them: the cache, or nothing
    chosen: list[str]  # names of the folds to run
    tasks: dict[str, str]  # kind by name, the main one first
    record: dict[str, Any]  # of cross_validate.json
    leaks: dict[str, Any]  # counts of the leak check
    external: dict[str, dict[str, Any]]


def make_plan(args: Namespace) -> Plan:
    """Read and check everything; nothing is written if anything is wrong.

    Raises:
        DataError, MetaError, ClinicalError: the input is at fault.
    """
    cfg = read_config(args.config, args.cfg_options)
    images = _image_folder(cfg)
    folds = read_folds(args.folds, images)
    chosen = [fold.name for fold in selected(folds, args.only)]
    tasks = tasks_of(cfg)
    label = args.label or next(iter(tasks))
    if label not in tasks:
        raise DataError(f'--label {label}: no task of the config; choose one of {", ".join(tasks)}')
    check_labels(folds, next(iter(tasks)), label)
    known = _fusable_patients(args, folds, label, tasks)
    _check_cache(args.cache, cfg)
    parts = _external(args, images)
    pretrained_on = patients_of_list(args.pretrain_list) if args.pretrain_list else set()
    leaks = check_leaks(folds, {name: part for name, (_, part) in parts.items()}, pretrained_on)
    files = {f'external {name}': meta for name, (meta, _) in parts.items()}
    if known:
        files |= dict(clinical=args.clinical, schema=args.with_fusion)
    files |= start_weights(cfg)
    settings = describe(cfg, folds, files, amp=args.amp, label=label, cache=args.cache)
    work_dir = args.work_dir.resolve()
    if args.fresh:
        _throw_away(work_dir)
    record = keep(work_dir, cfg, settings)
    together = not (known or args.scheduler or args.launcher == 'slurm') and _frozen(cfg)
    external = {
        name: dict(
            meta=_text(meta), data_root=_data_root(meta), together=together,
            fusion=bool(known & part.patients) and label in part.labelled,
        )
        for name, (meta, part) in parts.items()
    }  # fmt: skip
    names = ('clinical', 'schema')
    fusion = {name: _text(files[name]) for name in names} | dict(label=label) if known else None
    maps = None if args.cache is None else str(work_dir / CACHE)
    specs = _specs(work_dir, folds, cfg, amp=args.amp, external=external, fusion=fusion, maps=maps)
    about = dict(name=CACHE, folder=maps, metas=_text(args.folds), views=args.cache, wanted=[], maps=None)
    before = [specs[chosen[0]] | about] if maps else []
    return Plan(work_dir, folds, specs, before, chosen, tasks, record, leaks, external)


def _specs(
    work_dir: Path, folds: Sequence[Fold], cfg: Config, external: dict, fusion: dict | None, **others: Any
) -> dict[str, dict[str, Any]]:
    """What run_fold needs to know of each fold, as plain values."""
    wanted = [*external, *(['fusion'] if fusion else [])]
    common: dict[str, Any] = dict(
        cwd=os.getcwd(), config=str(work_dir / CONFIG), external=external, fusion=fusion
    )
    common |= dict(
        wanted=wanted, threads=None, metric=_metric(cfg), max_epochs=cfg.train_cfg.get('max_epochs', 0)
    )
    return {
        fold.name: common
        | others
        | dict(name=fold.name, folder=str(work_dir / fold.name), metas=_text(fold.folder))
        for fold in folds
    }


def _external(args: Namespace, images: str) -> dict[str, tuple[Path, Part]]:
    """External sets by name, with images beside their meta file or in the folder of the config's."""
    sets: dict[str, tuple[Path, Part]] = {}
    for text in args.external:
        given, _, path = text.rpartition('=')
        name = given or Path(path).stem
        if name in sets or not name.replace('_', '').replace('-', '').isalnum():
            raise DataError(
                f'--external {text}: name {name!r} is taken or not of letters, digits, - and _; give another '
                'as NAME=META'
            )
        sets[name] = Path(path), read_part(Path(path), _data_root(Path(path)) or images)
    return sets


def _fusable_patients(
    args: Namespace, folds: Sequence[Fold], label: str, tasks: dict[str, str]
) -> frozenset[str]:
    """Patients of the clinical table, if every part has the label to fuse for; none without --with-fusion."""
    if not args.with_fusion:
        return frozenset()
    if tasks[label] != 'binary':
        raise DataError(f'--label {label}: the fusion predicts binary tasks; {label} is a {tasks[label]}')
    for fold in folds:
        for name, part in fold.parts.items():
            if label not in part.labelled:
                raise DataError(
                    f'{fold.folder / name}.json: no image has a label {label!r} (known: '
                    f'{sorted(part.labelled)}); choose another --label'
                )
    schema = read_schema(args.with_fusion)
    return frozenset(read_clinical(args.clinical, schema).index)


def _image_folder(cfg: Config) -> str:
    """What image paths of the folds are relative to."""
    dataset = cfg.train_dataloader.dataset
    return os.path.join(dataset.get('data_root') or '', dataset.get('data_prefix') or '')


def _data_root(meta: Path) -> str | None:
    """The folder of an external set if its images lie there; None if they lie in the config's data_root."""
    items = read_meta(meta)['data_list']
    return _text(meta.parent) if items and (meta.parent / items[0]['img_path']).is_file() else None


def _check_cache(views: int | None, cfg: Config) -> None:
    """Refuse a cache of maps that training changes."""
    if views is not None and (views < 0 or not _frozen(cfg)):
        raise DataError(
            f'--cache {views}: expected 0 or more views, and a frozen backbone (model.backbone.frozen_stages '
            f'is {cfg.model.backbone.get("frozen_stages", -1)}); set that to 4, or leave --cache out'
        )


def _frozen(cfg: Config) -> bool:
    """Whether all models have the backbone that they started from, so that one pass serves them all."""
    return cfg.model.backbone.get('frozen_stages', -1) >= 4


def _text(path: Path) -> str:
    return str(path.resolve())


def _metric(cfg: Config) -> str:
    """The number that the table shows: validation loss of the main task; bare for single-task data."""
    bare = 'SingleTask' in cfg.val_dataloader.dataset.type
    return 'loss' if bare else f'{next(iter(tasks_of(cfg)))}_loss'


def _throw_away(work_dir: Path) -> None:
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
