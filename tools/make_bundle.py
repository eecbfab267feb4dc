"""Put trained models into one folder of plain data, from which tools/predict.py and tools/serve.py answer.

cross-validation, or config and checkpoint (with fusion and report) -> BUNDLE
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config

from mammo.engine.checkpoint import CheckpointError
from mammo.errors import DataError
from mammo.inference.bundle import BundleError, write_bundle
from mammo.inference.making import Trained, bundle_files, from_checkpoint, from_cross_validation
from mammo.inference.predictor import FUSED, IMAGES, Predictor
from mammo.records.files import RecordError, read_record
from mammo.records.fusion_set import FusionError
from mammo.records.predictions import PredictionError

EXPECTED = (BundleError, CheckpointError, DataError, FusionError, PredictionError, RecordError)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--cv', type=Path, help='folder of tools/cross_validate.py: all of its models')
    source.add_argument('--config', type=Path, help='config of --checkpoint; it is executed')
    parser.add_argument('--checkpoint', type=Path)
    parser.add_argument('--fusion', type=Path, metavar='DIR', help='with --checkpoint: work dir of mlp.py')
    parser.add_argument(
        '--fusion-model', choices=['mlp', 'logistic'], default='mlp', help='which one of --cv (%(default)s)'
    )
    parser.add_argument(
        '--report', type=Path, help="report.json: metrics and thresholds; default: the cross-validation's"
    )
    parser.add_argument(
        '--report-names', nargs=2, default=[IMAGES, 'both'], metavar=('IMAGES', 'FUSION'),
        help='with --checkpoint: names of the models in the report (%(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--preprocess', type=Path, help="preprocess.json of the images; default: that in the data's folder"
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to make')
    args = parser.parse_args()
    if bool(args.config) != bool(args.checkpoint) or (args.cv and args.fusion):
        parser.error('give --cv DIR, or --config C --checkpoint P [--fusion DIR]')
    return args


def collect(args: argparse.Namespace) -> tuple[Trained, dict[str, Any] | None]:
    """The models, and the settings of their images' preprocessing if known."""
    if args.cv:
        default = args.cv / 'report' / 'report.json'
        report_path = args.report or (default if default.is_file() else None)
        report = read_record(report_path) if report_path else {}
        trained = from_cross_validation(args.cv, args.fusion_model, report)
        data = read_record(args.cv / 'cross_validate.json')['settings']['config']['test_dataloader'][
            'dataset'
        ]
    else:
        config = Config.fromfile(str(args.config))
        names = dict(zip((IMAGES, FUSED), args.report_names, strict=True))
        report = read_record(args.report) if args.report else {}
        trained = from_checkpoint(config, args.checkpoint, args.fusion, report, names)
        data = config.test_dataloader.dataset
    path = args.preprocess or Path(data['data_root']) / 'preprocess.json'
    known = args.preprocess or path.is_file()
    return trained, read_record(path)['settings'] if known else None


def main() -> None:
    args = parse_args()
    try:
        trained, preprocess = collect(args)
        write_bundle(args.out, bundle_files(trained, preprocess))
        try:
            predictor = Predictor.load(args.out, 'cpu')
        except BundleError:
            shutil.rmtree(args.out)
            raise
    except EXPECTED as error:
        sys.stderr.write(f'error: {error}\n')
        sys.exit(2)
    n_bytes = sum(path.stat().st_size for path in args.out.rglob('*') if path.is_file())
    n, distinct = len(predictor.members), predictor.network.ensemble.num_backbones
    print(
        f'{args.out}: {n} models, {distinct} backbones, {n_bytes / 2**20:.1f} MiB, id {predictor.bundle_id}'
    )
    if preprocess is None:
        print('no preprocess.json: images of an exam must be PNG made as those of the training')


if __name__ == '__main__':
    main()
