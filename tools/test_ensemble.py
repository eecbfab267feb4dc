# PYTHON_ARGCOMPLETE_OK
"""Test several checkpoints of one config together; equal, frozen backbones run once for all of them.

config, checkpoints, meta file -> DIR/member_00.json ... (predictions of each) and DIR/mean.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_config_arguments
from mammo.terminal import made


@command()
def main() -> None:
    """Parse and test."""
    parser = tool_parser(
        __doc__,
        'python tools/test_ensemble.py CONFIG a.pth b.pth --out-dir ensemble',
        loads='PyTorch and MMPreTrain',
    )
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoints', nargs='+', metavar='checkpoint', help='checkpoint files, one per member'
    )
    parser.add_argument('--meta', help="meta file, relative to data_root; default: the config's test file")
    parser.add_argument('--data-root', help="folder of images; default: the config's")
    parser.add_argument('--out-dir', type=Path, required=True, help='folder for the predictions')
    args = parser.parse_args()

    from mammo.quick_start import load_networks

    load_networks(args.launcher)
    from mammo.engine.scoring.ensemble import score_together

    score_together(**vars(args))
    mean = args.out_dir / 'mean.json'
    made(mean, 'tools/evaluate.py', '--pred', mean, '--task', 'TASK', '--out-dir', 'REPORT')


if __name__ == '__main__':
    main()
