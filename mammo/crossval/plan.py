"""From a request to the jobs of a cross-validation: read, check, compare with what is there.

Request -> Plan: folds, settings, and a spec (plain dict) per selected fold
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from mammo.crossval.external import described
from mammo.crossval.folds import Fold
from mammo.crossval.inputs import Inputs, Request, check_inputs, is_frozen, read_inputs
from mammo.crossval.jobs.state import CACHE
from mammo.crossval.settings import CONFIG, describe, keep, start_weights, throw_away


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
    inputs = read_inputs(request)
    leaks = check_inputs(request, inputs)
    record = _keep_settings(request, inputs)
    external = _external(request, inputs)
    specs = _specs(request, inputs, external)
    before = [_cache_spec(request, specs[inputs.chosen[0]])] if request.cache is not None else []
    work_dir = request.work_dir.resolve()
    return Plan(work_dir, inputs.folds, specs, before, inputs.chosen, inputs.tasks, record, leaks, external)


def _keep_settings(request: Request, inputs: Inputs) -> dict[str, Any]:
    """Write what decides about the result, or compare it with what an earlier run wrote."""
    sets = {f'external {name}': site.meta for name, site in inputs.sites.items()}
    files = sets | inputs.tables | start_weights(inputs.cfg)
    settings = describe(
        inputs.cfg, inputs.folds, files, amp=request.amp, label=inputs.label, cache=request.cache
    )
    work_dir = request.work_dir.resolve()
    if request.fresh:
        throw_away(work_dir)
    return keep(work_dir, inputs.cfg, settings)


def _external(request: Request, inputs: Inputs) -> dict[str, dict[str, Any]]:
    """What is done with each external set."""
    on_this_machine = not (inputs.fusable or request.scheduler or request.launcher == 'slurm')
    together = bool(inputs.sites) and on_this_machine and is_frozen(inputs.cfg)
    return described(inputs.sites, together=together, fusable=inputs.fusable, label=inputs.label)


def _specs(
    request: Request, inputs: Inputs, external: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What run_fold needs to know of each fold, as plain values."""
    work_dir, cfg, fusion = request.work_dir.resolve(), inputs.cfg, None
    if inputs.tables:
        rule = dict(label=inputs.label, patient_label=request.patient_label)
        fusion = {name: _text(path) for name, path in inputs.tables.items()} | rule
    common = dict(
        cwd=os.getcwd(), config=str(work_dir / CONFIG), threads=None, external=external, fusion=fusion,
        maps=_maps(request), amp=request.amp, main_task=next(iter(inputs.tasks)),
        wanted=[*external, *(['fusion'] if fusion else [])], max_epochs=cfg.train_cfg.get('max_epochs', 0),
    )  # fmt: skip
    return {
        fold.name: common | dict(name=fold.name, folder=str(work_dir / fold.name), metas=_text(fold.folder))
        for fold in inputs.folds
    }


def _cache_spec(request: Request, spec: dict[str, Any]) -> dict[str, Any]:
    """The job that runs the frozen backbone once, before the folds; ``spec`` is of one of them."""
    metas = _text(request.folds)
    return spec | dict(
        name=CACHE, folder=_maps(request), metas=metas, views=request.cache, wanted=[], maps=None
    )


def _maps(request: Request) -> str | None:
    """The folder of the cached maps, if there are any."""
    if request.cache is None:
        return None
    return _text(request.cache_dir or request.work_dir.resolve() / CACHE)


def _text(path: Path) -> str:
    return str(path.resolve())
