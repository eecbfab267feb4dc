"""From a request to the jobs of a cross-validation: read, check for leaks, compare with what is there.

Request -> Plan: folds, settings, and a spec (plain dict) per selected fold
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mammo.crops.patches import patients_of_list
from mammo.crossval.folds import (
    PARTS,
    Fold,
    Part,
    check_fusion,
    check_labels,
    check_leaks,
    read_folds,
    read_part,
    selected,
)
from mammo.crossval.jobs.slurm import refuse_queued
from mammo.crossval.jobs.state import CACHE, FINISHED, in_use, read_json
from mammo.crossval.settings import (
    CONFIG,
    RECORD,
    complete_data,
    config_of,
    describe,
    keep,
    start_weights,
    tasks_of,
)
from mammo.engine.checks.images import check_images
from mammo.errors import DataError
from mammo.fusion.clinical import read_clinical, read_schema
from mammo.records.matching import check_patients
from mammo.records.meta import read_meta
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
    complete_data(cfg, request.folds)
    init_default_scope(cfg.get('default_scope', 'mammo'))
    images = _image_folder(cfg)
    folds = read_folds(request.folds, images)
    chosen = [fold.name for fold in selected(folds, request.only)]
    tasks = tasks_of(cfg)
    label = request.label or next(iter(tasks))
    if label not in tasks:
        raise DataError(f'--label {label}: no task of the config; choose one of {", ".join(tasks)}')
    check_labels(folds, tasks, label)
    fusable = _fusable_patients(request, folds, label, tasks)
    parts = _external(request.external, images)
    _check_table(request, fusable, folds, [part for _, part in parts.values()])
    _check_cache(request, cfg)
    pretrained_on = patients_of_list(request.pretrain_list) if request.pretrain_list else set()
    outside = {name: part for name, (_, part) in parts.items()}
    leaks = check_leaks(folds, outside, pretrained_on, strict=request.strict)
    if _reads_files(cfg):
        everything = [part for fold in folds for part in fold.parts.values()]
        check_images(*(part.traces.images for part in [*everything, *(part for _, part in parts.values())]))
    files = {f'external {name}': meta for name, (meta, _) in parts.items()}
    if request.with_fusion and request.clinical:
        files |= dict(clinical=request.clinical, schema=request.with_fusion)
    files |= start_weights(cfg)
    settings = describe(cfg, folds, files, amp=request.amp, label=label, cache=request.cache)
    work_dir = request.work_dir.resolve()
    if request.fresh:
        _throw_away(work_dir)
    record = keep(work_dir, cfg, settings)
    external = _sites(parts, request, cfg, fusable, label)
    names = ('clinical', 'schema') if 'schema' in files else ()
    rule = dict(label=label, patient_label=request.patient_label)
    fusion = {name: _text(files[name]) for name in names} | rule if names else None
    maps = None if request.cache is None else _text(request.cache_dir or work_dir / CACHE)
    others = dict(external=external, fusion=fusion, maps=maps, amp=request.amp, main_task=next(iter(tasks)))
    specs = _specs(work_dir, folds, cfg, others)
    about: dict[str, Any] = dict(
        name=CACHE, folder=maps, metas=_text(request.folds), views=request.cache, wanted=[], maps=None
    )
    before = [specs[chosen[0]] | about] if maps else []
    return Plan(work_dir, folds, specs, before, chosen, tasks, record, leaks, external)


def together_spec(plan: Plan, name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """The job that scores an external set by the models of all ``folders`` at once."""
    out_dir = plan.work_dir / 'ensemble' / f'members_{name}'
    checkpoints = {
        str(folder / f'predictions_external_{name}.json'): str(
            folder / read_json(folder / FINISHED)['checkpoint']
        )
        for folder in folders
    }
    about = dict(name=f'external {name}', folder=str(out_dir), site=plan.external[name], wanted=[])
    return plan.specs[plan.chosen[0]] | about | dict(checkpoints=checkpoints)


def _sites(
    parts: dict[str, tuple[Path, Part]], request: Request, cfg: Config, fusable: frozenset[str], label: str
) -> dict[str, dict[str, Any]]:
    """What is done with each external set."""
    on_this_machine = not (fusable or request.scheduler or request.launcher == 'slurm')
    together = bool(parts) and on_this_machine and _frozen(cfg)
    return {
        name: dict(
            meta=_text(meta), data_root=_data_root(meta), together=together,
            fusion=bool(fusable & part.patients) and label in part.labelled,
        )
        for name, (meta, part) in parts.items()
    }  # fmt: skip


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


def _external(texts: Sequence[str], images: str) -> dict[str, tuple[Path, Part]]:
    """External sets by name, with images beside their meta file or in the folder of the config's."""
    sets: dict[str, tuple[Path, Part]] = {}
    for text in texts:
        name, _, path = text.rpartition('=')
        name = name or Path(path).stem
        if name in sets or not name.replace('_', '').replace('-', '').isalnum():
            raise DataError(
                f'--external {text}: name {name!r} is taken or not of letters, digits, - and _; give another '
                'as NAME=META'
            )
        sets[name] = Path(path), read_part(Path(path), _data_root(Path(path)) or images)
    return sets


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
    request: Request, rows: frozenset[str], folds: Sequence[Fold], external: Sequence[Part]
) -> None:
    """See that the clinical table is about the women of the folds, or of the external sets."""
    if rows and request.clinical:
        inside = {
            patient for fold in folds for part in fold.parts.values() for patient in part.traces.patients
        }
        outside = {patient for part in external for patient in part.traces.patients}
        table, allow = request.clinical.name, request.allow_unmatched
        check_patients(rows - outside, inside, table, allow=allow, strict=request.strict)


def _image_folder(cfg: Config) -> str:
    """What image paths of the folds are relative to."""
    dataset = cfg.train_dataloader.dataset
    return os.path.join(dataset.get('data_root') or '', dataset.get('data_prefix') or '')


def _data_root(meta: Path) -> str | None:
    """The folder of an external set if its images lie there; None if they lie in the config's data_root."""
    items = read_meta(meta)['data_list']
    return _text(meta.parent) if items and (meta.parent / items[0]['img_path']).is_file() else None


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
