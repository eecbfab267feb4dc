# PYTHON_ARGCOMPLETE_OK
"""DICOM or PNG mammograms to a data set: cropped 8-bit PNG at one pixel size, and its meta file.

folder, DICOM file or table -> OUT/{png/, meta.json, skipped.csv, preprocess.json, overview.html}
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.errors import Exit
from mammo.terminal import made


def parser() -> ArgumentParser:
    """Options of the tool."""
    options = tool_parser(
        __doc__, 'python tools/preprocess.py archive --labels labels.csv --out-dir data/study'
    )
    add = options.add_argument
    add('input', type=Path, help='folder (searched recursively), DICOM file, or table with paths')
    add('--out-dir', type=Path, required=True, help='folder of the data set')
    add('--labels', type=Path, help='table: patient_id [laterality] [exam_id] and one column per task')
    add('--spacing-mm', type=float, default=0.0941, help='pixel size of the PNG')
    add('--voi', help="VOI view by index or explanation, e.g. 'SOFTER'; without it the first")
    add('--for-processing', choices=('refuse', 'tone'), default='refuse', help='raw detector images')
    add('--keep', default='', metavar='CODE,...', help='kinds of images to keep and mark, e.g. MAGNIFICATION')
    add('--invert', choices=('refuse', 'auto'), default='refuse', help='images with a bright background')
    add('--flip-to', choices=('L', 'R'), help='mirror so that the chest wall is on this side')
    add('--id-key', type=Path, help='file with a secret: ids and paths are replaced by pseudonyms')
    add('--key-map', action='store_true', help='with --id-key: write KEY_MAP.csv, for the owner only')
    add('--strict', action='store_true', help='exit 1 if any input was skipped; refuse ids that look alike')
    add(
        '--allow-unmatched',
        action='store_true',
        help='more than one in ten labels or images may match nothing',
    )
    add('--resume', action='store_true', help='go on with the run that OUT holds')
    add('--fresh', action='store_true', help='remove what the run in OUT made, and start anew')
    where = options.add_mutually_exclusive_group()
    where.add_argument('--workers', type=int, default=1, help='processes; 1 works in this one')
    where.add_argument('--scheduler', help='address of a Dask scheduler, used as it is')
    return options


@command(go_on='--resume goes on from here')
def main() -> int:
    """Run; exit 0 if an image came out, 1 if not (or --strict and a skip), 2 on bad input."""
    options = parser()
    args = options.parse_args()
    args.keep = tuple(filter(None, args.keep.replace(' ', '').upper().split(',')))
    if args.workers < 1:
        options.error(f'--workers is {args.workers}, expected 1 or more')
    if args.key_map and not args.id_key:
        options.error('--key-map leads back from the pseudonyms of --id-key; give both')
    source = vars(args).pop('input')

    from mammo.preprocess.run import preprocess

    summary = preprocess(source, **vars(args))
    print(summary)
    folder = args.out_dir
    made(
        f'{folder}; look at {folder / "overview.html"}',
        'tools/split.py', folder / 'meta.json', '--stratify', 'TASK',
    )  # fmt: skip
    is_done = bool(summary.items) and not (args.strict and summary.skipped)
    return Exit.DONE if is_done else Exit.NOTHING_MADE


if __name__ == '__main__':
    main()
