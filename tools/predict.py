# PYTHON_ARGCOMPLETE_OK
"""Score one exam, or a table of exams, with a bundle of tools/make_bundle.py.

BUNDLE; DICOM or PNG files of one patient, clinical values -> printed result, prediction.json, overlays
"""

import sys
from argparse import BooleanOptionalAction, Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.errors import Exit, UserError
from mammo.terminal import made, say


def arguments() -> Namespace:
    """What the command line asks for."""
    parser = tool_parser(
        __doc__, 'python tools/predict.py --bundle bundle exam/*.dcm --clinical age=54', loads='PyTorch'
    )
    add = parser.add_argument
    add('files', nargs='*', metavar='FILE', help='images of one patient, DICOM or PNG')
    add('--bundle', type=Path, required=True, help='folder of tools/make_bundle.py')
    add('--view', action='append', default=[], metavar='L_CC=FILE', help='an image whose side and view you give')  # fmt: skip  # noqa: E501
    add('--clinical', nargs='+', action='extend', default=[], metavar='NAME=VALUE', help='such as age=54')
    add('--tumor-side', choices=['L', 'R'], help='only images of that breast decide')
    add('--batch', type=Path, metavar='TABLE', help='table as tools/preprocess.py takes it: a row per image with patient_id, dicom_path or png_path, view, laterality, and where known tumor_side and clinical variables')  # fmt: skip  # noqa: E501
    add('--clinical-table', type=Path, help='with --batch: table with a row per patient')
    add('--allow-unmatched', action='store_true', help='more than one in ten patients may lack clinical values, or images')  # fmt: skip  # noqa: E501
    add('--cropped-png', action=BooleanOptionalAction, help='PNG files are images of tools/preprocess.py; without it, they are if the bundle has no preprocess.json')  # fmt: skip  # noqa: E501
    add('--out-dir', type=Path, help='folder for JSON and pictures')
    add('--resume', action='store_true', help='with --batch: go on with the run that OUT_DIR holds')
    add(
        '--fresh',
        action='store_true',
        help='with --batch: remove what the run in OUT_DIR made, and start anew',
    )
    add('--device', choices=['auto', 'cpu', 'cuda'], default='auto', help='where the network runs')
    args = parser.parse_args()
    if bool(args.batch) == bool(args.files or args.view):
        parser.error('give the files of one patient, or --batch TABLE')
    if args.batch and (not args.out_dir or args.clinical or args.tumor_side):
        parser.error('--batch needs --out-dir, and takes clinical values and tumor_side from its tables')
    if not args.batch and (args.resume or args.fresh):
        parser.error('--resume and --fresh belong to --batch')
    return args


@command(go_on='with --batch, the same command and --resume go on from here')
def main() -> int:
    """Answer; exit 1 if a patient of a table could not be scored, 2 on bad input."""
    args = arguments()

    from mammo.quick_start import load_networks

    load_networks()
    from mammo.inference.answers import answer_files, write_answer
    from mammo.inference.batch import TABLE, answer_table
    from mammo.inference.exam.asking import ask
    from mammo.inference.predictor import Predictor
    from mammo.records.tables.reading import SUFFIXES

    if args.batch and args.batch.suffix.lower() not in SUFFIXES:
        raise UserError(f'--batch {args.batch}: expected a table ({", ".join(SUFFIXES)})')
    predictor = Predictor.load(args.bundle, args.device)
    if args.batch:
        names = ('clinical_table', 'allow_unmatched', 'cropped_png', 'resume', 'fresh')
        options = {name: getattr(args, name) for name in names}
        summary = answer_table(predictor, args.batch, args.out_dir, **options)
        say(str(summary))
        made(args.out_dir / TABLE)
        return Exit.NOTHING_MADE if summary.refused else Exit.DONE
    prediction = ask(predictor, args.files, args.view, args.clinical, args.tumor_side, args.cropped_png)
    if args.out_dir:
        write_answer(args.out_dir, answer_files(prediction))
    print(prediction.summary())
    if args.out_dir:
        made(f'{args.out_dir / "prediction.json"} and pictures')
    return Exit.DONE


if __name__ == '__main__':
    main()
