"""Nested, patient-grouped, stratified cross-validation folds of a meta file.

META -> FOLDS/<outer>/<inner>/{train,val,test}.json, FOLDS/split_report.json [, FOLDS/holdout.json]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser


@command()
def main() -> None:
    """Parse, split, print how many patients are shared."""
    parser = tool_parser(
        __doc__, 'python tools/split.py data/study/meta.json --out-dir data/folds --stratify N'
    )
    parser.add_argument('meta', type=Path)
    parser.add_argument('--out-dir', type=Path, required=True, help='folder of the folds, new or empty')
    parser.add_argument('--outer', type=int, default=5, help='test parts, which make a partition')
    parser.add_argument('--inner', type=int, default=5, help='models per test part')
    parser.add_argument('--group', default='patient_id', help='field that must stay on one side')
    parser.add_argument('--stratify', help='task whose label rate the folds share, e.g. N')
    parser.add_argument('--holdout-cohort', help='cohort kept out of all folds, written to holdout.json')
    parser.add_argument(
        '--labelled-only',
        action='store_true',
        help='leave images without any label (healthy breasts, say) out of train and val',
    )
    parser.add_argument('--seed', type=int, default=0, help='same seed, same folds')
    args = parser.parse_args()

    from mammo.preprocess.split import write_folds

    print(write_folds(**vars(args)))


if __name__ == '__main__':
    main()
