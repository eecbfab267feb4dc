"""From a request to the jobs of a cross-validation: read, check for leaks, compare with what is there.

Request -> Plan: folds, settings, and a spec (plain dict) per selected fold
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mammo.crops.patches import patients_of_list
from mammo.crossval.checks import check_fusion, check_labels, check_leaks
from mammo.crossval.external import described, read_sites
from mammo.crossval.folds import PARTS, Fold, Part, read_folds, selected
from mammo.crossval.jobs.state import CACHE
from mammo.crossval.settings import (
    CONFIG,
    complete_data,
    config_of,
    describe,
    keep,
    start_weights,
    tasks_of,
    throw_away,
)
from mammo.engine.checks.images import check_images
from mammo.errors import DataError
from mammo.fusion.clinical import read_clinical, read_schema
from mammo.records.tables.matching import check_patients
from models.registry import MODELS


class Request(NamedTuple):
    """What a cross-validation is asked to do; see ``tools/cross_validate.py --help``."""

    config: Path
    folds: Path
    work_dir: Path
    data_root: Path | None = None
    launcher: str = 'local'
    scheduler: str | None = None
    devices: int | None = None
    sbatch_args: str = ''
    only: str | None = None
    external: Sequence[str] = ()
    with_fusion: Path | None = None
    clinical: Path | None = None
    allow_unmatched: bool = False
    strict: bool = False  # ids that look alike are an error
    tasks: Sequence[str] | None = None
    label: str | None = None
    pretrain_list: Path | None = None
    bootstrap: int = 10_000
    patient_label: str = 'same'
    unit: str = 'patient'  # or breast, in the report
    subgroups: Sequence[str] = ()
    cache: int | None = None
    cache_dir: Path | None = None  # default: in work_dir
    amp: bool = False
    fresh: bool = False
    cfg_options: Sequence[str] = ()


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


def make_plan(request: Request) -> Plan:
    """Read and check everything; nothing is written if anything is wrong.

    Raises:
        UserError: the input is at fault.
    """
    data_root = request.data_root.resolve() if request.data_root else None
    cfg = config_of(request.config, request.cfg_options, data_root, request.tasks)
    complete_data(cfg, request.folds, find=data_root is None)
    init_default_scope(cfg.get('default_scope', 'mammo'))
    images = _image_folder(cfg)
    folds = read_folds(request.folds, images)
    tasks = tasks_of(cfg)
    chosen = [fold.name for fold in selected(folds, request.only)]
    label = request.label or next(iter(tasks))
    if label not in tasks:
        raise DataError(f'--label {label}: no task of the config; choose one of {", ".join(tasks)}')
    check_labels(folds, tasks, label)
    fusable = _fusable_patients(request, folds, label, tasks)
    sites = read_sites(request.external, images)
    parts = [part for fold in folds for part in fold.parts.values()]
    outside = {name: site.part for name, site in sites.items()}
    _check_table(request, fusable, parts, [*outside.values()])
    _check_cache(request, cfg)
    pretrained_on = patients_of_list(request.pretrain_list) if request.pretrain_list else set()
    leaks = check_leaks(folds, outside, pretrained_on, strict=request.strict)
    if _reads_files(cfg):
        check_images(*(part.traces.images for part in [*parts, *outside.values()]))
    tables: dict[str, Path] = {}
    if request.with_fusion and request.clinical:
        tables = dict(clinical=request.clinical, schema=request.with_fusion)
    files = {f'external {name}': site.meta for name, site in sites.items()} | tables | start_weights(cfg)
    settings = describe(cfg, folds, files, amp=request.amp, label=label, cache=request.cache)
    work_dir = request.work_dir.resolve()
    if request.fresh:
        throw_away(work_dir)
    record = keep(work_dir, cfg, settings)
    on_this_machine = not (fusable or request.scheduler or request.launcher == 'slurm')
    together = bool(sites) and on_this_machine and _frozen(cfg)
    external = described(sites, together=together, fusable=fusable, label=label)
    rule = dict(label=label, patient_label=request.patient_label)
    fusion = {name: _text(path) for name, path in tables.items()} | rule if tables else None
    maps = None if request.cache is None else _text(request.cache_dir or work_dir / CACHE)
    others = dict(external=external, fusion=fusion, maps=maps, amp=request.amp, main_task=next(iter(tasks)))
    specs = _specs(work_dir, folds, cfg, others)
    about: dict[str, Any] = dict(
        name=CACHE, folder=maps, metas=_text(request.folds), views=request.cache, wanted=[], maps=None
    )
    before = [specs[chosen[0]] | about] if maps else []
    return Plan(work_dir, folds, specs, before, chosen, tasks, record, leaks, external)


def _specs(
    work_dir: Path, folds: Sequence[Fold], cfg: Config, others: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """What run_fold needs to know of each fold, as plain values."""
    common = others | dict(
        cwd=os.getcwd(), config=str(work_dir / CONFIG), threads=None,
        wanted=[*others['external'], *(['fusion'] if others['fusion'] else [])],
        max_epochs=cfg.train_cfg.get('max_epochs', 0),
    )  # fmt: skip
    return {
        fold.name: common | dict(name=fold.name, folder=str(work_dir / fold.name), metas=_text(fold.folder))
        for fold in folds
    }


def _fusable_patients(
    request: Request, folds: Sequence[Fold], label: str, tasks: dict[str, str]
) -> frozenset[str]:
    """Patients of the clinical table, once the fusion is sure to be fitted; none without --with-fusion."""
    if not (request.with_fusion and request.clinical):
        return frozenset()
    if tasks[label] != 'binary':
        raise DataError(f'--label {label}: the fusion predicts binary tasks; {label} is a {tasks[label]}')
    schema = read_schema(request.with_fusion)
    values = read_clinical(request.clinical, schema, strict=request.strict)
    check_fusion(folds, values, schema, label)
    return frozenset(values.index)


def _check_table(
    request: Request, rows: frozenset[str], inside: Sequence[Part], outside: Sequence[Part]
) -> None:
    """See that the clinical table is about the women of the folds, or of the external sets."""
    if rows and request.clinical:
        of_folds, of_sites = (
            frozenset().union(*(part.patients for part in parts)) for parts in (inside, outside)
        )
        table, allow = request.clinical.name, request.allow_unmatched
        check_patients(rows - of_sites, of_folds, table, allow=allow, strict=request.strict)


def _image_folder(cfg: Config) -> str:
    """What image paths of the folds are relative to."""
    dataset = cfg.train_dataloader.dataset
    return os.path.join(dataset.get('data_root') or '', dataset.get('data_prefix') or '')


def _reads_files(cfg: Config) -> bool:
    """Whether images are files, which they are not if a transform reads them through a file backend."""
    steps = [step for part in PARTS for step in cfg[f'{part}_dataloader'].dataset.get('pipeline', ())]
    return not any(step.get('backend_args') for step in steps)


def _check_cache(request: Request, cfg: Config) -> None:
    """Refuse a cache of maps that training changes."""
    views = request.cache
    if views is None and request.cache_dir:
        raise DataError(f'--cache-dir {request.cache_dir}: say with --cache VIEWS how many views it holds')
    if views is not None and (views < 0 or not _frozen(cfg)):
        raise DataError(
            f'--cache {views}: expected 0 or more views, and a frozen backbone (model.backbone.frozen_stages '
            f'is {cfg.model.backbone.get("frozen_stages", -1)}); freeze all stages, or leave --cache out'
        )


def _frozen(cfg: Config) -> bool:
    """Whether all models have the backbone that they started from, so that one pass serves them all."""
    if cfg.model.get('frozen_backbone'):
        return True
    backbone = MODELS.build({**cfg.model.backbone, 'init_cfg': None})
    return not any(parameter.requires_grad for parameter in backbone.parameters())


def _text(path: Path) -> str:
    return str(path.resolve())
