"""Score one exam, or a table of exams, with a bundle of tools/make_bundle.py.

BUNDLE; DICOM or PNG files of one patient, clinical values -> printed result, prediction.json, overlays
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.inference.answers import answer_table, write_answer
from mammo.inference.bundle import BundleError
from mammo.inference.exam import ExamError, job_of
from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.records.tables import SUFFIXES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('files', nargs='*', metavar='FILE', help='images of one patient, DICOM or PNG')
    parser.add_argument('--bundle', type=Path, required=True)
    parser.add_argument(
        '--view',
        action='append',
        default=[],
        metavar='L_CC=FILE',
        help='an image whose side and view you give',
    )
    parser.add_argument('--clinical', nargs='+', default=[], metavar='NAME=VALUE', help='such as age=54')
    parser.add_argument('--tumor-side', choices=['L', 'R'], help='only images of that breast decide')
    parser.add_argument(
        '--batch', type=Path, metavar='TABLE',
        help='CSV as tools/preprocess.py takes it: a row per image with patient_id, dicom_path or png_path, '
        'view, laterality, and where known tumor_side and clinical variables',
    )  # fmt: skip
    parser.add_argument('--clinical-table', type=Path, help='with --batch: CSV with a row per patient')
    parser.add_argument(
        '--cropped-png', action=argparse.BooleanOptionalAction,
        help='PNG files are images of tools/preprocess.py; default: if the bundle has no preprocess.json',
    )  # fmt: skip
    parser.add_argument('--out-dir', type=Path, help='folder for JSON and pictures')
    parser.add_argument('--device', choices=['auto', 'cpu', 'cuda'], default='auto')
    args = parser.parse_args()
    if bool(args.batch) == bool(args.files or args.view):
        parser.error('give the files of one patient, or --batch TABLE')
    if args.batch and args.batch.suffix.lower() not in SUFFIXES:
        parser.error(f'--batch {args.batch}: expected a table ({", ".join(SUFFIXES)})')
    if args.batch and (not args.out_dir or args.clinical or args.tumor_side):
        parser.error('--batch needs --out-dir, and takes clinical values and tumor_side from its tables')
    return args


def pairs(texts: list[str], option: str) -> list[tuple[str, str]]:
    """``NAME=VALUE`` texts -> pairs."""
    found = [(name, value) for name, equals, value in (text.partition('=') for text in texts) if equals]
    if len(found) < len(texts):
        raise ExamError('USAGE', f'{option} {texts}: expected NAME=VALUE')
    return found


def one(args: argparse.Namespace, predictor: Predictor) -> Prediction:
    jobs = [job_of(path) for path in args.files]
    jobs += [job_of(path, name) for name, path in pairs(args.view, '--view')]
    clinical = pairs(args.clinical, '--clinical')
    if len(dict(clinical)) < len(clinical):
        raise ExamError('CLINICAL_NAME', f'a name stands twice in --clinical {args.clinical}')
    return predictor.predict(jobs, dict(clinical), tumor_side=args.tumor_side, cropped_png=args.cropped_png)


def main() -> None:
    args = parse_args()
    try:
        predictor = Predictor.load(args.bundle, args.device)
        if args.batch:
            failed = answer_table(args, predictor)
            print(f'{args.out_dir}/predictions.csv: {failed} patients could not be scored')
            sys.exit(1 if failed else 0)
        prediction = one(args, predictor)
        if args.out_dir:
            write_answer(args.out_dir, prediction)
    except (BundleError, ExamError, ValueError, OSError) as error:
        sys.stderr.write(f'error: {error}\n')
        sys.exit(2)
    print(prediction.summary())


if __name__ == '__main__':
    main()
