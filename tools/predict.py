"""Score one exam, or a table of exams, with a bundle of tools/make_bundle.py.

BUNDLE; DICOM or PNG files of one patient, clinical values -> printed result, prediction.json, overlays
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from inference.bundle import BundleError
from inference.exam import ExamError, job_of
from inference.prediction import Prediction
from inference.predictor import Predictor
from preprocess.clinical import ClinicalError, read_table
from preprocess.files import replacing, write_text
from preprocess.images import signature
from preprocess.inputs import Job, find_jobs
from preprocess.privacy import digest


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
    if args.batch and args.batch.suffix not in ('.csv', '.tsv'):
        parser.error(f'--batch {args.batch}: expected a CSV or TSV')
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


def write(folder: Path, prediction: Prediction) -> None:
    for name, png in prediction.overlays().items():
        with replacing(folder / f'{name}.png') as tmp:
            tmp.write_bytes(png)
    write_text(folder / 'prediction.json', prediction.to_json())


def batch(args: argparse.Namespace, predictor: Predictor) -> int:
    """All patients of a table -> how many could not be scored; a row each in predictions.csv.

    A patient's folder is named by all that decides about the answer, so a killed run goes on where it was.
    """
    rows: list[dict[str, Any]] = []
    for patient, jobs, clinical, side in tqdm(list(patients_of(args, predictor)), 'patients'):
        images = [[job.source, job.given, signature(job)] for job in jobs]
        told = json.dumps([predictor.bundle_id, patient, images, clinical, side, args.cropped_png])
        row = dict(patient_id=patient, folder=digest('exam', told, None), reason='', message='')
        record = args.out_dir / row['folder'] / 'prediction.json'
        try:
            if not record.is_file():
                options = dict(tumor_side=side, cropped_png=args.cropped_png)
                write(record.parent, predictor.predict(jobs, clinical, **options))
            rows.append(row | as_row(json.loads(record.read_text(encoding='utf-8'))))
        except ExamError as error:
            rows.append(row | dict(reason=error.reason, message=error.message))
    text = io.StringIO()
    table = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator='\n')
    table.writeheader()
    table.writerows(rows)
    write_text(args.out_dir / 'predictions.csv', text.getvalue())
    return sum(bool(row['reason']) for row in rows)


def as_row(answer: dict[str, Any]) -> dict[str, Any]:
    """A prediction as plain data -> cells of predictions.csv."""
    fused, label = answer['fused'], answer['label']
    values = {task: score['value'] for task, score in answer['tasks'].items()}
    values |= {f'{label}_fused': fused['value']} if fused else {}
    decision = (fused or answer['tasks'][label])['decision'] or {}
    return values | dict(positive=decision.get('positive'), notes='; '.join(answer['warnings']))


def patients_of(
    args: argparse.Namespace, predictor: Predictor
) -> Iterator[tuple[str, list[Job], dict[str, Any], str | None]]:
    """Patient, images, clinical values and tumor side, from the tables."""
    names = {name for v in predictor.schema for name in (v['name'], v['column'])}
    clinical: dict[str, dict[str, Any]] = {}
    if args.clinical_table and predictor.fusion:
        cells = read_table(args.clinical_table).to_dict('records')
        clinical = {row[predictor.fusion.schema.patient_id]: row for row in cells}
    jobs: dict[str, list[Job]] = {}
    for job in find_jobs(args.batch, args.out_dir):
        jobs.setdefault(job.given.get('patient_id', ''), []).append(job)
    for patient, own in jobs.items():
        told = clinical.get(patient, {}) | {
            k: v for job in own for k, v in job.given.get('clinic_vars', {}).items() if v is not None
        }
        yield patient, own, {k: v for k, v in told.items() if k in names}, told.get('tumor_side') or None


def main() -> None:
    args = parse_args()
    try:
        predictor = Predictor.load(args.bundle, args.device)
        if args.batch:
            failed = batch(args, predictor)
            print(f'{args.out_dir}/predictions.csv: {failed} patients could not be scored')
            sys.exit(1 if failed else 0)
        prediction = one(args, predictor)
    except (BundleError, ExamError, ClinicalError, ValueError, OSError) as error:
        sys.stderr.write(f'error: {error}\n')
        sys.exit(2)
    if args.out_dir:
        write(args.out_dir, prediction)
    print(prediction.summary())


if __name__ == '__main__':
    main()
