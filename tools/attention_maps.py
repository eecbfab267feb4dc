# PYTHON_ARGCOMPLETE_OK
"""Draw where the class token of the neck looks, over the original images.

config, checkpoint, meta file -> a PNG per image, gallery.html, attention.json (shares in lesions, background)
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_config_arguments
from mammo.terminal import made


@command()
def main() -> None:
    """Parse, draw, print attention in lesions and outside the breast against chance, and how alike it is."""
    parser = tool_parser(
        __doc__,
        'python tools/attention_maps.py CONFIG work_dirs/run/epoch_9.pth --out-dir maps',
        loads='PyTorch and MMPreTrain',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', type=Path, required=True, help='folder of the pictures')
    parser.add_argument(
        '--ann-file', help="meta file, relative to data_root; default: the config's test file"
    )
    parser.add_argument(
        '--heads', choices=['average', 'single'], default='average', help='one map, or one of each head'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the bootstrap')
    args = parser.parse_args()

    from mammo.quick_start import load_networks

    load_networks(args.launcher)
    from mammo.engine.faults import resources_explained
    from mammo.inference.attention import draw_attention

    options = vars(args)
    with resources_explained():
        n_images, summary, correlations = draw_attention(
            single_heads=options.pop('heads') == 'single', **options
        )
    words = dict(lesions='in lesions', background='outside the breast')
    for row in summary:
        place = words[row['place']]
        print('{map} {0}, over the {area}: {share:.3f}, chance {chance:.3f}, ratio {value:.2f} '
              '({ci_low:.2f} to {ci_high:.2f}), {n_images} images'.format(place, **row))  # fmt: skip
    for row in correlations:
        if row['correlation'] is not None:
            print('{map} of two images correlates {correlation:.3f}; 1: the same places in all'.format(**row))
    made(
        f'{n_images} pictures in {args.out_dir}, look at {args.out_dir / "gallery.html"}',
        'tools/evaluate.py', '--pred', 'PREDICTIONS', '--task', 'TASK', '--out-dir', 'REPORT',
        '--gallery', args.out_dir,
    )  # fmt: skip


if __name__ == '__main__':
    main()
