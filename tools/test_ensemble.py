"""Test several checkpoints of one config together; equal, frozen backbones run once for all of them.

config, checkpoints, meta file -> DIR/member_00.json ... (predictions of each) and DIR/mean.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from tqdm import tqdm

from mammo.engine.cli import add_common_arguments, load_config, one_message_for_bad_input
from mammo.engine.image_check import check_images
from mammo.engine.writer import prediction_record
from mammo.errors import DataError
from mammo.evaluation.ensemble import mean_records
from mammo.records.predictions import write_predictions
from models.ensemble import Ensemble


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument('checkpoint', nargs='+', help='checkpoint files, one per member')
    parser.add_argument('--meta', help="meta file, relative to data_root; default: the config's test file")
    parser.add_argument('--data-root', help="folder of images; default: the config's")
    parser.add_argument('--out-dir', type=Path, required=True)
    return parser.parse_args()


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    if args.launcher != 'none':
        raise DataError(f'--launcher {args.launcher}: an ensemble is tested by one process')
    given = dict(data_root=args.data_root, ann_file=args.meta and str(Path(args.meta)))
    cfg.test_dataloader.dataset.update({key: value for key, value in given.items() if value})
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


def load_members(runner: Runner, checkpoints: list[str]) -> Ensemble:
    ensemble = Ensemble()
    for checkpoint in checkpoints:
        runner.load_checkpoint(checkpoint)
        ensemble.add(runner.model)
    n, distinct = len(checkpoints), ensemble.num_backbones
    what = 'runs once for all' if distinct == 1 else f'differs: {distinct} passes per image'
    print_log(f'{n} members, their backbone {what}', 'current')
    return ensemble


def member_records(runner: Runner, ensemble: Ensemble, *, amp: bool) -> list[list[dict]]:
    """Prediction records of each member over the test set."""
    records: list[list[dict]] = [[] for _ in ensemble.members]
    batches = runner.test_dataloader
    for batch in tqdm(batches, 'batches', disable=len(batches) < 10):
        data = runner.model.data_preprocessor(batch)
        with torch.autocast(get_device(), enabled=amp):
            predicted = ensemble.predict(data['inputs'], data['data_samples'])
        for of_member, samples in zip(records, predicted, strict=True):
            of_member += [prediction_record(sample.to_dict()) for sample in samples]
    return records


def main() -> None:
    args = parse_args()
    with one_message_for_bad_input():
        runner = RUNNERS.build(merge_args(load_config(args), args))
        if args.check_data:
            check_images(item['img_path'] for item in runner.test_dataloader.dataset.data_list)
        ensemble = load_members(runner, args.checkpoint)
        records = member_records(runner, ensemble, amp=args.amp)
    width = max(2, len(str(len(records) - 1)))
    for i, of_member in enumerate(records):
        write_predictions(args.out_dir / f'member_{i:0{width}d}.json', of_member)
    kinds = {task: head.kind for task, head in runner.model.head.task_heads.items()}
    write_predictions(args.out_dir / 'mean.json', mean_records(records, kinds))


if __name__ == '__main__':
    main()
