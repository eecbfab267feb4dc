# PYTHON_ARGCOMPLETE_OK
"""Fit a bundle to a site of its own: recalibrate it and choose its threshold anew. Nothing is trained.

BUNDLE, table of images, labels -> answers of the patients, test of calibration, a new BUNDLE

Chosen by likelihood-ratio tests: no recalibration, another intercept, or intercept and slope.
"""

import sys
from argparse import BooleanOptionalAction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import confidence


@command(go_on='the same command goes on from here')
def main() -> None:
    """Parse, update, print what was found."""
    example = (
        'python tools/update_bundle.py --bundle bundle --batch images.csv --labels labels.csv --out ours'
    )
    parser = tool_parser(__doc__, example)
    add = parser.add_argument
    add('--bundle', type=Path, required=True, help='folder of tools/make_bundle.py; stays as it is')
    add('--batch', type=Path, required=True, metavar='TABLE', help='images as tools/predict.py --batch takes them')  # fmt: skip  # noqa: E501
    add('--clinical-table', type=Path, help='table with a row per patient')
    add('--labels', type=Path, required=True, help='table with patient_id, a column named as the main task (0 or 1; empty if unknown), and where known tumor_side')  # fmt: skip  # noqa: E501
    add('--out', type=Path, required=True, help='bundle to make')
    add('--out-dir', type=Path, help='folder for the answers of the patients, from which a stopped run goes on; without it OUT with _answers')  # fmt: skip  # noqa: E501
    add('--site', default='this site', metavar='NAME', help='how card and answers call it')
    add('--sensitivity', type=confidence, help="to keep at the threshold; without it the bundle's")
    add('--confidence', type=confidence, help="with which the true sensitivity is at least that; without it the bundle's, if it has one")  # fmt: skip  # noqa: E501
    add('--allow-unmatched', action='store_true', help='more than one in ten patients may lack images, labels or clinical values')  # fmt: skip  # noqa: E501
    add('--cropped-png', action=BooleanOptionalAction, help='PNG files are images of tools/preprocess.py; without it, they are if the bundle has no preprocess.json')  # fmt: skip  # noqa: E501
    add('--device', choices=['auto', 'cpu', 'cuda'], default='auto', help='where the network runs')
    args = parser.parse_args()
    args.out_dir = args.out_dir or args.out.with_name(f'{args.out.name}_answers')

    from mammo.quick_start import load_networks

    load_networks()
    from mammo.inference.making.update import update_bundle

    print('\n'.join(update_bundle(**vars(args))))


if __name__ == '__main__':
    main()
