"""A double cross-validation from its start, or from where it was stopped, to its report.

Request -> DIR/<outer>/<inner>/, DIR/ensemble/, DIR/report/, DIR/cross_validate.json
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mammo.crossval.external import together_spec
from mammo.crossval.finish import complete, finish
from mammo.crossval.inputs import Request
from mammo.crossval.jobs import engines
from mammo.crossval.jobs.progress import progress
from mammo.crossval.jobs.slurm import SlurmEngine
from mammo.crossval.jobs.state import FINISHED, STATE, finished, tail
from mammo.crossval.plan import Plan, make_plan
from mammo.records.predictions import PredictionError

logger = logging.getLogger(__name__)
POLL_S = 0.5


def cross_validate(request: Request) -> Path | None:
    """Run what is not finished, then evaluate.

    Returns:
        The main report; None if a fold failed or is still missing, or a report was refused; the log says why.

    Raises:
        UserError: the input is at fault; nothing was written then.
    """
    plan = make_plan(request)
    chosen = [plan.specs[name] for name in plan.chosen]
    todo = [spec for spec in chosen if not finished(spec)]
    logger.info(
        '%d folds, %d to do; leak check: %d patients of the folds, %d of external sets, %d pretrained on; '
        'none on two sides',
        len(chosen), len(todo), plan.leaks['patients'], sum(plan.leaks['external_patients'].values()),
        plan.leaks['pretraining_patients'],
    )  # fmt: skip
    if todo and not run(plan.before, lambda specs: _engine(specs, request, plan, devices=1)):
        return None
    done = run(chosen, lambda specs: _engine(specs, request, plan, devices=request.devices))
    try:
        report = _finish(plan, request)
    except PredictionError as error:
        sys.stderr.write(f'{error}\n')
        return None
    return report if done else None


def _finish(plan: Plan, request: Request) -> Path | None:
    """Score external sets that wait for all models, make ensembles and reports -> the main one."""
    members = complete(plan)
    folders = [plan.work_dir / fold.name for folds in members.values() for fold in folds]
    for name in plan.external:  # those that folds of an earlier run left to this step, too
        spec = together_spec(
            name, plan.specs[plan.chosen[0]], plan.work_dir / f'ensemble/members_{name}', folders
        )
        is_there = all(Path(target).is_file() for target in spec['checkpoints'])
        if not (is_there or run([spec], lambda specs: engines.LocalEngine(specs, 1), again=True)):
            raise PredictionError(f'external set {name} could not be scored')
    return finish(plan, members, request)


def run(
    specs: Sequence[dict[str, Any]],
    make_engine: Callable[[list[dict[str, Any]]], engines.Engine],
    *,
    again: bool = False,
) -> bool:
    """Run those that are not finished -> whether all are; the ends of the logs of the others are shown.

    Args:
        specs: of folds, or of what is done before or after them.
        make_engine: specs -> engine.
        again: run also those that are finished.
    """
    for spec in specs if again else ():
        (Path(spec['folder']) / FINISHED).unlink(missing_ok=True)
    todo = [spec for spec in specs if not finished(spec)]
    for spec in todo:
        (Path(spec['folder']) / STATE).unlink(missing_ok=True)  # one that failed gets a new chance
    if todo:
        with contextlib.closing(make_engine(todo)) as engine, progress(specs) as update:
            while engine.running():
                update()
                time.sleep(POLL_S)
            update()
    failed = [spec for spec in todo if not finished(spec)]
    for spec in failed:
        log = tail(Path(spec['folder']))
        sys.stderr.write(f'fold {spec["name"]} failed; the end of {spec["folder"]}/log.txt:\n{log}\n\n')
    return not failed


def _engine(
    specs: list[dict[str, Any]], request: Request, plan: Plan, *, devices: int | None
) -> engines.Engine:
    """Where the folds run."""
    if request.scheduler:
        return engines.DaskEngine(specs, request.scheduler)
    if request.launcher == 'slurm':
        return SlurmEngine(specs, plan.work_dir / 'slurm', request.devices, request.sbatch_args)
    return engines.LocalEngine(specs, devices)  # one device: with all cores
