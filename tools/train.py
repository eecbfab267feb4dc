"""Train a model.

config -> checkpoints and logs in the work dir

Exit codes: 0 trained; 2 bad input, or the folder is in use, full or read-only; 3 diverged; 4 out of
memory; 75 told to stop by SIGTERM or SIGUSR1: the state is saved, and --resume goes on from it to the same
result as that of a run without the stop.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config
from mmengine.registry import RUNNERS

from mammo.engine.cli import add_common_arguments, load_config, one_message_for_bad_input
from mammo.engine.launch import is_first_process
from mammo.engine.saving.files import checkpoint_folder
from mammo.engine.saving.lock import locked
from mammo.engine.saving.stop import handling_signals
from mammo.errors import Exit


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint; without a name, from the newest intact one of the run',
    )
    parser.add_argument('--no-validate', action='store_true', help='train without validation')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size'
    )
    parser.add_argument('--no-pin-memory', action='store_true', help='dataloaders do not pin memory')
    parser.add_argument('--no-persistent-workers', action='store_true', help='workers end with each epoch')
    parser.add_argument(
        '--strict-split', action='store_true', help='a patient or image in two splits is an error'
    )
    return parser.parse_args()


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        cfg.optim_wrapper.setdefault('dtype', 'bfloat16')  # NOTE[DIFF]: published runs took float16
    if args.resume not in (None, 'auto'):
        cfg.resume, cfg.load_from = True, args.resume
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    for loader in filter(None, (cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test'))):
        loader.pin_memory = loader.get('pin_memory', True) and not args.no_pin_memory
        loader.persistent_workers = loader.get('persistent_workers', False) and not args.no_persistent_workers
    if args.strict_split:
        cfg.default_hooks.data_check.strict_split = True
    cfg.merge_from_dict(args.cfg_options or {})
    cfg.auto_resume = (
        args.resume == 'auto'
    )  # without checkpoints, the run starts as it would without --resume
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    return cfg


def main() -> None:
    args = parse_args()
    stop = handling_signals(lambda *_: sys.exit(Exit.STOPPED))  # until there is something to save
    with one_message_for_bad_input(), stop:
        cfg = merge_args(load_config(args), args)
        folders = [Path(cfg.work_dir), checkpoint_folder(cfg)] if is_first_process(args.launcher) else []
        with locked(*folders):
            RUNNERS.build(cfg).train()


if __name__ == '__main__':
    main()
