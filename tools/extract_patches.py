# PYTHON_ARGCOMPLETE_OK
"""Cut patches of the breast out of PNG mammograms, for pretraining.

META ... -> OUT/{png/<image>/<patch>.png, list.txt (one path per line), patches.json}
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.errors import Exit
from mammo.terminal import made


@command(go_on='--resume goes on from here')
def main() -> int:
    """Cut and write; exit 1 if no patch came out, 2 on bad input."""
    parser = tool_parser(
        __doc__, 'python tools/extract_patches.py data/study/meta.json --out-dir data/patches'
    )
    add = parser.add_argument
    add('meta', type=Path, nargs='+', help='meta files; all images lie in one --data-root')
    add('--data-root', type=Path, help='folder of img_path; without it that of META')
    add('--out-dir', type=Path, required=True, help='folder of the patches')
    add('--size', type=int, default=512, help='side of a patch in pixels')
    add('--stride', type=int, default=256, help='step between windows in pixels')
    add('--min-breast-frac', type=float, default=0.5, help='share of breast in a patch')
    add('--max-per-image', type=int, help='at most so many, chosen by --seed; without it all')
    add('--seed', type=int, default=0, help='of the choice of --max-per-image')
    add(
        '--exclude',
        type=Path,
        nargs='+',
        action='extend',
        default=[],
        help='meta files whose patients give no patch',
    )
    add('--workers', type=int, default=1, help='threads')
    add('--resume', action='store_true', help='go on with the run that OUT holds')
    add('--fresh', action='store_true', help='remove what the run in OUT made, and start anew')
    args = parser.parse_args()

    from mammo.crops.patch_run import write_patches
    from mammo.crops.patches import PatchSettings

    named = {name: getattr(args, name) for name in ('min_breast_frac', 'max_per_image', 'seed')}
    settings = PatchSettings(size_px=args.size, stride_px=args.stride, **named)
    others = {name: getattr(args, name) for name in ('data_root', 'exclude', 'workers', 'resume', 'fresh')}
    n_patches, sentence = write_patches(args.meta, args.out_dir, settings, **others)
    print(sentence)
    if n_patches:
        made(
            args.out_dir / 'list.txt', f'MAMMO_PATCHES={args.out_dir}/', 'python', 'tools/train.py', 'CONFIG'
        )
    return Exit.DONE if n_patches else Exit.NOTHING_MADE


if __name__ == '__main__':
    main()
