# PYTHON_ARGCOMPLETE_OK
"""Train a model.

config -> checkpoints and logs in the work dir

Exit codes: 0 trained; 2 bad input, or the folder is in use, full or read-only; 3 diverged; 4 out of
memory; 75 told to stop by Ctrl-C, SIGTERM or SIGUSR1: the state is saved, and --resume goes on from it to
the same result as that of a run without the stop.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_config_arguments
from mammo.terminal import made


@command(go_on='--resume goes on from the last checkpoint')
def main() -> None:
    """Parse and train."""
    parser = tool_parser(
        __doc__,
        'python tools/train.py configs/demo/full_breast_224x128_transformer.py --resume',
        loads='PyTorch and MMPreTrain',
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a name, from the newest intact one of the run',
    )
    parser.add_argument('--no-validate', action='store_true', help='train without validation')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size'
    )
    parser.add_argument('--no-pin-memory', action='store_true', help='dataloaders do not pin memory')
    parser.add_argument(
        '--strict-split', action='store_true', help='a patient or image in two splits is an error'
    )
    args = parser.parse_args()

    from mammo.engine.run import train

    weights = train(**vars(args))
    if weights.name == 'backbone.pth':
        start = f'model.backbone.init_cfg.checkpoint={weights}'
        made(weights, 'tools/train.py', 'CONFIG', '--cfg-options', start)
    else:
        config = weights.parent / Path(args.config).name  # with all settings of this run
        test = ('tools/test.py', config, weights, '--out', weights.parent / 'predictions.json')
        made(weights, *(test if config.is_file() else ()))


if __name__ == '__main__':
    main()
