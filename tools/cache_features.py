# PYTHON_ARGCOMPLETE_OK
"""Run a frozen backbone once over all images, so that necks train from its maps.

config, meta files -> DIR: K augmented views (float16) and a plain map (float32) per image; resumes
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_config_arguments
from mammo.terminal import made


@command()
def main() -> None:
    """Parse and make the cache."""
    parser = tool_parser(
        __doc__, 'python tools/cache_features.py CONFIG --views 8 --out cache', loads='PyTorch and MMPreTrain'
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--views', type=int, required=True, metavar='K', help='maps per image; 0: no augmentation'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder of the cache')
    parser.add_argument(
        '--ann-file',
        nargs='+',
        help='meta files, relative to data_root, whose images get views and a plain map (cross-validation); '
        "default: views for the config's train file, plain maps for its val and test files",
    )
    parser.add_argument('--seed', type=int, default=0, help='of the views')
    args = parser.parse_args()
    if args.views < 0:
        parser.error(f'--views is {args.views}, expected 0 or more')

    from dataset.cache.making import make_cache
    from mammo.engine.faults import resources_explained

    with resources_explained():
        n_images = make_cache(**vars(args))
    made(f'{args.out}: maps of {n_images} images, {args.views} views')


if __name__ == '__main__':
    main()
