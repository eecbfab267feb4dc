# PYTHON_ARGCOMPLETE_OK
"""Mammogram features of images and patients, for the fusion stage.

config, checkpoint, meta files -> features.npz: x per patient, image_x per image, ids, column names
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_config_arguments
from mammo.terminal import made

EXAMPLE = (
    'python tools/extract_features.py CONFIG CHECKPOINT --out features.npz --ann-file train.json test.json'
)


@command()
def main() -> None:
    """Parse, extract, write."""
    parser = tool_parser(__doc__, EXAMPLE, loads='PyTorch and MMPreTrain')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', type=Path, required=True, help='features file, .npz')
    parser.add_argument(
        '--stage', choices=['head', 'neck', 'backbone'], default='head',
        help='head: raw output per task; neck: what the heads read; backbone: average over the feature map',
    )  # fmt: skip
    parser.add_argument(
        '--ann-file',
        nargs='+',
        action='extend',
        help="meta files, relative to data_root; without it the config's test file",
    )
    parser.add_argument(
        '--aggregate', choices=['mean', 'max'], default='mean', help="over a patient's images"
    )
    parser.add_argument(
        '--all-sides', action='store_true', help='also use images of the breast without tumor'
    )
    args = parser.parse_args()

    from mammo.quick_start import load_networks

    load_networks(args.launcher)
    from mammo.engine.scoring.features import extract

    extract(**vars(args))
    made(
        args.out,
        'tools/build_fusion.py', '--features', args.out, '--clinical', 'TABLE', '--schema', 'SCHEMA',
        '--splits', 'FOLD', '--label', 'TASK', '--out-dir', 'FUSION',
    )  # fmt: skip


if __name__ == '__main__':
    main()
