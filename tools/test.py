# PYTHON_ARGCOMPLETE_OK
"""Test a checkpoint.

config, checkpoint -> metrics (.json) or predictions (.pkl, .json, .csv)
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
        'python tools/test.py CONFIG work_dirs/run/best_N_loss_epoch_9.pth --out p.json',
        loads='PyTorch and MMPreTrain',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--no-pin-memory', action='store_true', help='the dataloader does not pin memory')
    parser.add_argument('--out', help='file for the result; its folder is made')
    parser.add_argument(
        '--out-item', choices=['metrics', 'pred'], help='what to write to --out; default: pred'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation: tta_model and tta_pipeline of the config, else the mean prediction of '
        'the image and its mirror image',
    )
    parser.add_argument('--show-dir', help='folder for pictures of the images with what was predicted')
    parser.add_argument('--show', action='store_true', help='show these pictures in a window')
    parser.add_argument('--interval', type=int, default=1, help='a picture of every so many images')
    parser.add_argument('--wait-time', type=float, default=2.0, help='of a window, seconds')
    args = parser.parse_args()
    if args.tta and (args.show or args.show_dir):
        parser.error('--tta goes without --show and --show-dir: a picture is of one image as it was tested')
    if args.out_item and not args.out:
        parser.error('--out-item needs --out FILE')
    suffixes = ['.json'] if args.out_item == 'metrics' else ['.pkl', '.json', '.csv']
    if args.out and Path(args.out).suffix not in suffixes:
        parser.error(f'--out is {args.out}, expected a file that ends in {" or ".join(suffixes)}')

    from mammo.quick_start import load_networks

    load_networks(args.launcher)
    from mammo.engine.run import score

    for name, value in score(**vars(args)).items():
        print(f'{name} {"undefined" if value is None else format(value, ".4f")}')
    if args.out:
        made(args.out, *(['tools/evaluate.py', '--pred', args.out, '--task', 'TASK', '--out-dir', 'REPORT']
                         if args.out_item != 'metrics' else []))  # fmt: skip


if __name__ == '__main__':
    main()
