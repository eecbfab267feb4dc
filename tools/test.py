"""Test a checkpoint.

config, checkpoint -> metrics (.json) or predictions (.pkl, .json, .csv)
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config
from mmengine.registry import RUNNERS

from mammo.engine.cli import add_common_arguments, load_config, one_message_for_bad_input
from mammo.records.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='file for the result; its folder is made')
    parser.add_argument(
        '--out-item', choices=['metrics', 'pred'], help='what to write to --out; default: pred'
    )
    args = parser.parse_args()
    if args.out_item and not args.out:
        parser.error('--out-item needs --out FILE')
    suffixes = ['.json'] if args.out_item == 'metrics' else ['.pkl', '.json', '.csv']
    if args.out and Path(args.out).suffix not in suffixes:
        parser.error(f'--out is {args.out}, expected a file that ends in {" or ".join(suffixes)}')
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.amp:
        cfg.test_cfg.fp16 = True  # mmengine's name for any autocast; bfloat16 on CPU
    if args.out and args.out_item != 'metrics':
        evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        cfg.test_evaluator = [*evaluators, dict(type='PredictionWriter', out_file=args.out)]
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


def main() -> None:
    args = parse_args()
    with one_message_for_bad_input():
        runner = RUNNERS.build(merge_args(load_config(args), args))
        metrics = runner.test()
    if args.out_item == 'metrics' and runner.rank == 0:
        write_json(args.out, metrics)


if __name__ == '__main__':
    main()
