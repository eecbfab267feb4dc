# PYTHON_ARGCOMPLETE_OK
"""Put trained models into one folder of plain data, from which tools/predict.py and tools/serve.py answer.

cross-validation, or config and checkpoint (with fusion and report) -> BUNDLE
"""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_trust, confidence
from mammo.terminal import made


def arguments() -> Namespace:
    """What the command line asks for."""
    parser = tool_parser(
        __doc__,
        'python tools/make_bundle.py --cv work_dirs/cv --out bundle --confidence 0.95',
        loads='PyTorch',
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--cv', type=Path, help='folder of tools/cross_validate.py: all of its models')
    source.add_argument('--config', type=Path, help='config of --checkpoint; it is executed')
    parser.add_argument('--checkpoint', type=Path, help='with --config: the one model')
    parser.add_argument('--fusion', type=Path, metavar='DIR', help='with --checkpoint: work dir of mlp.py')
    parser.add_argument(
        '--fusion-model', choices=['mlp', 'logistic'], default='mlp', help='which one of --cv'
    )
    parser.add_argument(
        '--report', type=Path, help="report.json: metrics and thresholds; without it the cross-validation's"
    )
    parser.add_argument(
        '--report-names', nargs=2, default=['mammograms', 'both'], metavar=('IMAGES', 'FUSION'),
        help='with --checkpoint: names of the models in the report',
    )  # fmt: skip
    parser.add_argument(
        '--preprocess', type=Path, help="preprocess.json of the images; without it that in the data's folder"
    )
    parser.add_argument(
        '--sensitivity',
        type=confidence,
        help="with --cv: to keep at the threshold; without it the report's, or 0.9",
    )
    parser.add_argument(
        '--confidence', type=confidence,
        help='with --cv: the highest threshold whose true sensitivity is at least that with this confidence, '
        'such as 0.95; without it, that of the cross-validated patients is kept',
    )  # fmt: skip
    add_trust(parser)
    parser.add_argument('--out', type=Path, required=True, help='folder to make')
    args = parser.parse_args()
    if bool(args.config) != bool(args.checkpoint) or (args.cv and args.fusion):
        parser.error('give --cv DIR, or --config C --checkpoint P [--fusion DIR]')
    return args


@command()
def main() -> None:
    """Parse, make, say what was made."""
    args = arguments()

    from mammo.quick_start import load_networks

    load_networks()
    from mammo.inference.making.make import make_bundle

    print('\n'.join(make_bundle(**vars(args))))
    made(args.out, 'tools/predict.py', '--bundle', args.out, 'IMAGES')


if __name__ == '__main__':
    main()
