# PYTHON_ARGCOMPLETE_OK
"""Nested, patient-grouped, stratified cross-validation folds of a meta file.

META -> FOLDS/<outer>/<inner>/{train,val,test}.json, FOLDS/split_report.json [, FOLDS/holdout.json]
"""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.terminal import made


def arguments() -> Namespace:
    """What the command line asks for."""
    parser = tool_parser(__doc__, 'python tools/split.py data/study/meta.json --stratify N')
    parser.add_argument('meta', type=Path, help='meta file of all images')
    parser.add_argument(
        '--out-dir', type=Path, help='folder of the folds, new or empty; without it folds beside META'
    )
    parser.add_argument(
        '--data-root', type=Path, help='folder of the images, searched for identical files; default: of META'
    )
    tests = parser.add_mutually_exclusive_group()
    tests.add_argument('--outer', type=int, default=5, help='test parts, which make a partition')
    tests.add_argument(
        '--leave-one-cohort-out', action='store_true', help='each cohort is the test part of one outer fold'
    )
    parser.add_argument('--inner', type=int, default=5, help='models per test part')
    parser.add_argument(
        '--repeats', type=int, default=1, help='partitions, whose outer folds are r0f0, r0f1, ...'
    )
    parser.add_argument('--group', default='patient_id', help='field that must stay on one side')
    parser.add_argument(
        '--stratify', action='append', default=[], metavar='NAME',
        help='task, or field such as cohort, whose rate the folds share; may be given several times',
    )  # fmt: skip
    parser.add_argument(
        '--unit', choices=['patient', 'breast'], default='patient', help='whose labels --stratify counts'
    )
    parser.add_argument('--holdout-cohort', help='cohort kept out of all folds, written to holdout.json')
    parser.add_argument(
        '--labelled-only',
        action='store_true',
        help='leave images without any label (healthy breasts, say) out of train and val',
    )
    parser.add_argument('--strict', action='store_true', help='refuse ids that look alike, as P1 and p1')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same folds')
    return parser.parse_args()


@command()
def main() -> None:
    """Parse, split, print how many patients are shared."""
    args = arguments()

    from mammo.splits.write import write_folds

    print(write_folds(**vars(args)))
    folds = args.out_dir or args.meta.parent / 'folds'
    made(folds, 'tools/cross_validate.py', 'CONFIG', '--folds', folds, '--work-dir', 'RUN')


if __name__ == '__main__':
    main()
