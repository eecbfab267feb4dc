"""Train a model.

config -> checkpoints and logs in the work dir
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import find_latest_checkpoint

from engine.cli import add_common_arguments, load_config, one_message_for_bad_input


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint; without a name, from the latest in the work dir',
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
    if args.resume == 'auto':
        # without a checkpoint to go on from, the run starts as it would without --resume
        cfg.resume = find_latest_checkpoint(cfg.work_dir) is not None
        cfg.load_from = None if cfg.resume else cfg.load_from
    elif args.resume:
        cfg.resume, cfg.load_from = True, args.resume
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    for loader in filter(None, (cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test'))):
        loader.pin_memory = loader.get('pin_memory', True) and not args.no_pin_memory
        loader.persistent_workers = loader.get('persistent_workers', False) and not args.no_persistent_workers
    if args.strict_split:
        cfg.default_hooks.data_check.strict_split = True
    cfg.merge_from_dict(args.cfg_options or {})
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    return cfg


def main() -> None:
    args = parse_args()
    with one_message_for_bad_input():
        RUNNERS.build(merge_args(load_config(args), args)).train()


if __name__ == '__main__':
    main()
