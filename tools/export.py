# PYTHON_ARGCOMPLETE_OK
"""Export a trained network to ONNX.

config, checkpoint -> FILE.onnx: grey image -> one output per task; preprocessing in its metadata
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_config_arguments
from mammo.terminal import made


@command()
def main() -> None:
    """Parse, export, print the largest difference from PyTorch."""
    parser = tool_parser(
        __doc__,
        'python tools/export.py CONFIG work_dirs/run/epoch_9.pth --out net.onnx',
        loads='PyTorch and MMPreTrain',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE.onnx', help='file to write')
    parser.add_argument(
        '--preprocess', type=Path, help='preprocess.json of the data, to be described in the file'
    )
    args = parser.parse_args()

    from mammo.quick_start import load_networks

    load_networks(args.launcher)
    from mammo.engine.faults import resources_explained
    from mammo.inference.checked_export import export_checkpoint

    with resources_explained():
        difference = export_checkpoint(**vars(args))
    print(f'{args.out}: {difference:.1e} at most from PyTorch')
    made(args.out)


if __name__ == '__main__':
    main()
