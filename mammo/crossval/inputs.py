"""What a cross-validation is asked to do, read and checked before anything is written.

Request -> Inputs: config, folds, tasks, external sets, clinical values; Inputs -> counts of the leak check
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from mammo.crops.patches import patients_of_list
from mammo.crossval.checks import (
    check_fusion,
    check_labels,
    check_leaks,
    check_one_label,
    check_subgroups,
)
from mammo.crossval.external import Site, read_sites
from mammo.crossval.folds import PARTS, Fold, read_folds, selected
from mammo.crossval.settings import complete_data, config_of, tasks_of
from mammo.engine.checks.images import check_images
from mammo.errors import DataError
from mammo.fusion.clinical import read_clinical
from mammo.fusion.schema import read_schema
from mammo.patients import VIEWS
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


class Inputs(NamedTuple):
    """All that a request names, read."""

    cfg: Config
    folds: list[Fold]
    chosen: list[str]  # names of the folds to run
    tasks: dict[str, str]  # kind by name, the main one first
    label: str  # task of the fusion and of the main report
    sites: dict[str, Site]  # external sets by name
    tables: dict[str, Path]  # clinical table and schema, or nothing
    fusable: frozenset[str]  # patients with clinical values


def read_inputs(request: Request) -> Inputs:
    """Read config, folds, external sets and the clinical table.

    Raises:
        UserError: one of them cannot be read, or a fold cannot be trained or fused with them.
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
    if request.patient_label == 'same':
        check_one_label(folds, label, request.unit)
    check_subgroups(folds, request.subgroups)
    tables: dict[str, Path] = {}
    if request.with_fusion and request.clinical:
        tables = dict(clinical=request.clinical, schema=request.with_fusion)
    fusable = _fusable_patients(tables, folds, label, tasks[label], strict=request.strict)
    sites = read_sites(request.external, images)
    return Inputs(cfg, folds, chosen, tasks, label, sites, tables, fusable)


def check_inputs(request: Request, inputs: Inputs) -> dict[str, Any]:
    """See that tables, cache and images suit the folds, and that nobody is on two sides.

    Returns:
        What the leak check counted.

    Raises:
        UserError: something does not, or somebody is.
    """
    inside = [part for fold in inputs.folds for part in fold.parts.values()]
    outside = {name: site.part for name, site in inputs.sites.items()}
    if inputs.fusable:  # of women of the folds, or of the external sets
        table, strict = inputs.tables['clinical'].name, request.strict
        of_folds = frozenset().union(*(part.patients for part in inside))
        of_sites = frozenset().union(*(part.patients for part in outside.values()))
        check_patients(
            inputs.fusable - of_sites, of_folds, table, allow=request.allow_unmatched, strict=strict
        )
    _check_cache(request, inputs.cfg)
    _check_samples(request, inputs)
    pretrained_on = patients_of_list(request.pretrain_list) if request.pretrain_list else set()
    leaks = check_leaks(inputs.folds, outside, pretrained_on, strict=request.strict)
    if _reads_files(inputs.cfg):
        check_images(*(part.traces.images for part in [*inside, *outside.values()]))
    return leaks


def is_frozen(cfg: Config) -> bool:
    """Whether all models have the backbone that they started from, so that one pass serves them all."""
    if cfg.model.get('frozen_backbone'):
        return True
    backbone = MODELS.build({**cfg.model.backbone, 'init_cfg': None})
    return not any(parameter.requires_grad for parameter in backbone.parameters())


def _fusable_patients(
    tables: dict[str, Path], folds: Sequence[Fold], label: str, kind: str, *, strict: bool
) -> frozenset[str]:
    """Patients of the clinical table, once the fusion is sure to be fitted; none without a table."""
    if not tables:
        return frozenset()
    if kind != 'binary':
        raise DataError(f'--label {label}: the fusion predicts binary tasks; {label} is a {kind}')
    schema = read_schema(tables['schema'])
    values = read_clinical(tables['clinical'], schema, strict=strict)
    check_fusion(folds, values, schema, label)
    return frozenset(values.index)


def _image_folder(cfg: Config) -> str:
    """What image paths of the folds are relative to."""
    dataset = cfg.train_dataloader.dataset
    return os.path.join(dataset.get('data_root') or '', dataset.get('data_prefix') or '')


def _reads_files(cfg: Config) -> bool:
    """Whether images are files, which they are not if a transform reads them through a file backend."""
    steps = [step for part in PARTS for step in cfg[f'{part}_dataloader'].dataset.get('pipeline', ())]
    return not any(step.get('backend_args') for step in steps)


def _check_samples(request: Request, inputs: Inputs) -> None:
    """See that the images make samples of the config's datasets, some of which take several views."""
    metas = [(part, inputs.folds[0].folder / f'{part}.json') for part in PARTS]
    for part, meta in [*metas, *(('test', site.meta) for site in inputs.sites.values())]:
        changes = dict(ann_file=str(meta.resolve()), pipeline=[])
        dataset = DATASETS.build({**inputs.cfg[f'{part}_dataloader'].dataset, **changes})
        if request.unit == 'breast' and getattr(dataset, 'n_views', 1) > len(VIEWS):
            raise DataError(
                '--unit breast: samples are of both breasts; take a config of one, or --unit patient'
            )


def _check_cache(request: Request, cfg: Config) -> None:
    """Refuse a cache of maps that training changes."""
    views = request.cache
    if views is None and request.cache_dir:
        raise DataError(f'--cache-dir {request.cache_dir}: say with --cache VIEWS how many views it holds')
    if views is not None and (views < 0 or not is_frozen(cfg)):
        raise DataError(
            f'--cache {views}: expected 0 or more views, and a frozen backbone (model.backbone.frozen_stages '
            f'is {cfg.model.backbone.get("frozen_stages", -1)}); freeze all stages, or leave --cache out'
        )
