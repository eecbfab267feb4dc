"""Double cross-validation: train, test and fuse every fold, ensembles, report; kill and rerun at will.

config, folds of tools/split.py -> DIR/<outer>/<inner>/, DIR/ensemble/, DIR/report/, DIR/cross_validate.json
"""

import argparse
import contextlib
import logging
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from mammo.crossval.engines import DaskEngine, Engine, LocalEngine
from mammo.crossval.finish import finish
from mammo.crossval.job import run_fold
from mammo.crossval.plan import Plan, make_plan
from mammo.crossval.progress import progress
from mammo.crossval.slurm import SlurmEngine
from mammo.crossval.state import STATE, finished, read_json, tail
from mammo.crossval.steps import PARTS, run_steps
from mammo.engine.cli import one_message_for_bad_input
from mammo.errors import Exit
from mammo.fusion.clinical import ClinicalError
from mammo.records.files import write_text
from mammo.records.predictions import PredictionError

POLL_S = 0.5


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path, help='config file; it is code and is executed')
    parser.add_argument('--folds', type=Path, required=True, help='folder of tools/split.py')
    parser.add_argument('--work-dir', type=Path, required=True, help='a run that was stopped here goes on')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--launcher', choices=['local', 'slurm'], default='local', help='slurm: a job array')
    where.add_argument(
        '--scheduler', metavar='ADDRESS', help='of a Dask cluster that can import this project'
    )
    parser.add_argument(
        '--devices', type=int, metavar='N', help='folds at once; default: one per GPU, or one'
    )
    parser.add_argument(
        '--sbatch-args', default='', metavar='TEXT', help="as in --sbatch-args='--partition=gpu --gres=gpu:1'"
    )
    parser.add_argument('--only', metavar='O/I,...', help='these folds, e.g. 0/1,2/3')
    parser.add_argument('--external', nargs='+', default=[], metavar='[NAME=]META', help='test sets for all models; images beside META or in data_root')  # fmt: skip  # noqa: E501
    parser.add_argument('--with-fusion', type=Path, metavar='SCHEMA', help='also fuse, with these variables')
    parser.add_argument('--clinical', type=Path, metavar='TABLE', help='clinical variables for --with-fusion')
    parser.add_argument('--label', help='task of the fusion and the main report; default: the first')
    parser.add_argument(
        '--pretrain-list', type=Path, metavar='LIST', help='patches that stage a learned from'
    )
    parser.add_argument('--bootstrap', type=int, default=10_000, help='draws of the report')
    parser.add_argument('--patient-label', choices=['same', 'max'], default='same', help='in the report, of images whose labels differ: an error, or the highest')  # fmt: skip  # noqa: E501
    parser.add_argument('--cache', type=int, metavar='VIEWS', help='run the frozen backbone once, before the folds: on VIEWS augmented views of each image; 0: no augmentation')  # fmt: skip  # noqa: E501
    parser.add_argument('--amp', action='store_true', help='mixed precision; bfloat16 on CPU')
    parser.add_argument('--fresh', action='store_true', help='throw away what an earlier run left')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='settings that replace those of the config: key=value ...')  # fmt: skip  # noqa: E501
    return parser


def main() -> None:
    """Exit 0 with a report, 1 if a fold failed or is still missing, 2 on bad input."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.argv[1:2] == ['--fold-steps']:  # the child of run_fold
        with one_message_for_bad_input():
            run_steps(from_maps(read_json(Path(sys.argv[2]))))
        return
    if sys.argv[1:2] == ['--fold-spec']:  # a task of a SLURM array
        sys.exit(not run_fold(read_json(Path(sys.argv[2]))))
    parser = build_parser()
    args = parser.parse_args()
    if bool(args.with_fusion) != bool(args.clinical):
        parser.error('--with-fusion SCHEMA and --clinical TABLE belong together')
    logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stdout)
    try:
        with one_message_for_bad_input():
            sys.exit(cross_validate(args))
    except ClinicalError as error:
        sys.stderr.write(f'error: {error}\n')
        sys.exit(Exit.BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit('stopped; the same command goes on from here')


def cross_validate(args: argparse.Namespace) -> int:
    """Run what is not finished, then evaluate -> exit code."""
    plan = make_plan(args)
    chosen = [plan.specs[name] for name in plan.chosen]
    todo = [spec for spec in chosen if not finished(spec)]
    logging.info('%d folds, %d to do; leak check: %s', len(chosen), len(todo), plan.leaks)
    if todo and not run(plan.before, plan, args):
        return 1
    done = run(chosen, plan, args)
    try:
        report = finish(plan, args.bootstrap, args.patient_label)
    except PredictionError as error:
        print(error, file=sys.stderr)
        return 1
    print(report / 'report.html' if report else 'no report, see above')
    return 0 if done and report else 1


def run(specs: list[dict], plan: Plan, args: argparse.Namespace) -> bool:
    """Run those that are not finished -> whether all are; the ends of the logs of the others are shown."""
    todo = [spec for spec in specs if not finished(spec)]
    for spec in todo:
        (Path(spec['folder']) / STATE).unlink(missing_ok=True)  # one that failed gets a new chance
    if todo:
        with contextlib.closing(make_engine(todo, plan, args)) as engine, progress(specs) as update:
            while engine.running():
                update()
                time.sleep(POLL_S)
            update()
    failed = [spec for spec in todo if not finished(spec)]
    for spec in failed:
        log = tail(Path(spec['folder']))
        print(f'fold {spec["name"]} failed; the end of {spec["folder"]}/log.txt:\n{log}\n', file=sys.stderr)
    return not failed


def from_maps(spec: dict) -> dict:
    """A fold that trains and tests on the maps of DIR/cache, if there are to be any."""
    if not spec.get('maps'):
        return spec
    from dataset.cached_features import cached_config

    cfg, path = Config.fromfile(spec['config']), Path(spec['folder']) / 'config_maps.py'
    init_default_scope(cfg.get('default_scope', 'mammo'))
    for part in PARTS:
        cfg[f'{part}_dataloader'].dataset.ann_file = f'{spec["metas"]}/{part}.json'
    write_text(path, cached_config(cfg, spec['maps']).pretty_text)
    return spec | dict(fold_config=str(path))


def make_engine(specs: list[dict], plan: Plan, args: argparse.Namespace) -> Engine:
    """Where the folds run."""
    if args.scheduler:
        return DaskEngine(specs, args.scheduler)
    if args.launcher == 'slurm':
        return SlurmEngine(specs, plan.work_dir / 'slurm', args.devices, args.sbatch_args)
    return LocalEngine(specs, 1 if specs == plan.before else args.devices)  # 1: with all cores


if __name__ == '__main__':
    main()
