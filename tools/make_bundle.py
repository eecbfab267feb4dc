"""Put trained models into one folder of plain data, from which tools/predict.py and tools/serve.py answer.

cross-validation, or config and checkpoint (with fusion and report) -> BUNDLE
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser


@command()
def main() -> None:
    """Parse, make, print what the bundle holds."""
    parser = tool_parser(__doc__, 'python tools/make_bundle.py --cv work_dirs/cv --out bundle')
    add, source = parser.add_argument, parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--cv', type=Path, help='folder of tools/cross_validate.py: all of its models')
    source.add_argument('--config', type=Path, help='config of --checkpoint; it is executed')
    add('--checkpoint', type=Path, help='with --config: the weights')
    add('--fusion', type=Path, metavar='DIR', help='with --checkpoint: work dir of mlp.py')
    add('--fusion-model', choices=['mlp', 'logistic'], default='mlp', help='which one of --cv')
    add('--report', type=Path, help="report.json: metrics and thresholds; without it the cross-validation's")
    add(
        '--report-names', nargs=2, default=['mammograms', 'both'], metavar=('IMAGES', 'FUSION'),
        help='with --checkpoint: names of the models in the report',
    )  # fmt: skip
    add('--preprocess', type=Path, help="preprocess.json of the images; without it that in the data's folder")
    add('--out', type=Path, required=True, help='folder to make')
    args = parser.parse_args()
    if bool(args.config) != bool(args.checkpoint) or (args.cv and args.fusion):
        parser.error('give --cv DIR, or --config C --checkpoint P [--fusion DIR]')

    from mammo.inference.making.make import make_bundle

    print('\n'.join(make_bundle(**vars(args))))


if __name__ == '__main__':
    main()
