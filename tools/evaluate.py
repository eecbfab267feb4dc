"""Evaluate predictions by patient and write a report for reviewers.

prediction files per model -> DIR/report.json, DIR/report.html, DIR/figures/
Example: python tools/evaluate.py --pred A=a.json --pred B=b1.pkl,b2.pkl --task N --out-dir report
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.evaluation.cohort import Patients, read_patients
from mammo.evaluation.gallery import gallery
from mammo.evaluation.model_entry import Options, arrays
from mammo.evaluation.page import write_report
from mammo.evaluation.report import build_report
from mammo.records.predictions import PredictionError


def main(argv: list[str] | None = None) -> None:
    """Read, evaluate, write, and print one table."""
    parser = build_parser()
    args = parser.parse_args(argv)
    options = Options(**{key: value for key, value in vars(args).items() if key in Options._fields})
    try:
        test, development = read_all(args.pred, args, 'test'), read_all(args.dev, args, 'val')
        report = build_report(test, development, args.task, options)
        report['settings'] |= dict(
            aggregate=args.aggregate,
            patient_label=args.patient_label,
            all_sides=args.all_sides,
            all_exams=args.all_exams,
        )
        labelled = {name: p.table[p.table.label.notna()] for name, p in test.items()}
        first = next(iter(labelled.values()))
        pictures = gallery(args.gallery, first.groupby(level=0).first()) if args.gallery else None
        write_report(args.out_dir, report, {name: arrays(t) for name, t in labelled.items()}, pictures)
    except (PredictionError, OSError) as error:
        parser.exit(2, f'evaluate.py: error: {error}\n')
    for name, model in report['models'].items():
        headline = 'roc_auc' if 'roc_auc' in model else 'r2'
        numbers = [model[headline][key] for key in ('value', 'ci_low', 'ci_high')]
        shown = ['null' if number is None else f'{number:.3f}' for number in numbers]
        print(
            f'{name:<14}{model["n_patients"]:>5} patients  {headline} {shown[0]} ({shown[1]} to {shown[2]})'
        )
    print(args.out_dir / 'report.html')


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    form = 'NAME=PATH[,PATH...]'
    parser.add_argument('--pred', action='append', required=True, metavar=form, help='test predictions of a model: .json, .pkl, .csv, several for an ensemble, or a cross-validation folder')  # fmt: skip  # noqa: E501
    parser.add_argument('--dev', action='append', default=[], metavar=form, help='its development predictions, for threshold and recalibration')  # fmt: skip  # noqa: E501
    parser.add_argument('--task', required=True)
    parser.add_argument('--out-dir', required=True, type=Path)
    parser.add_argument(
        '--aggregate', choices=['max', 'mean'], default='max', help='over the images of a patient'
    )
    parser.add_argument(
        '--patient-label',
        choices=['same', 'max'],
        default='same',
        help='of images whose labels differ: an error, or the highest',
    )
    parser.add_argument(
        '--all-sides', action='store_true', help='also images of the other side than tumor_side'
    )
    parser.add_argument(
        '--gallery', type=Path, help='folder of tools/attention_maps.py: show patients of the first model'
    )
    parser.add_argument('--all-exams', action='store_true', help='also earlier exams')
    parser.add_argument('--bootstrap', dest='n_bootstrap', type=at_least(100), default=Options().n_bootstrap)
    parser.add_argument(
        '--interval', choices=['percentile', 'bca'], default='percentile', help='of bootstraps'
    )
    parser.add_argument(
        '--sensitivity', type=fraction, default=Options().sensitivity, help='to keep, for SLNB'
    )
    parser.add_argument('--subgroup', dest='subgroups', action='append', default=[], metavar='COLUMN')
    parser.add_argument(
        '--min-group', type=at_least(1), default=Options().min_group, help='smallest subgroup'
    )
    parser.add_argument('--kind', choices=['auto', 'binary', 'regression'], default='auto')
    parser.add_argument(
        '--strict', action='store_true', help='refuse to compare models on different patients'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser


def read_all(named: list[str], args: argparse.Namespace, part: str) -> dict[str, Patients]:
    """``['A=a.json', 'B=b.pkl,c.pkl']`` -> patients by name."""
    models: dict[str, Patients] = {}
    for item in named:
        name, _, paths = item.partition('=')
        if not name or not paths or name in models:
            raise PredictionError(f'{item!r}: expected NAME=PATH[,PATH...], each name once')
        models[name] = read_patients(
            paths.split(','),
            args.task,
            args.aggregate,
            args.all_sides,
            args.all_exams,
            part,
            args.patient_label,
        )
    return models


def at_least(smallest: int) -> Callable[[str], int]:
    """A whole number of at least ``smallest``, for argparse."""

    def number(text: str) -> int:
        if int(text) < smallest:
            raise argparse.ArgumentTypeError(f'{text} is less than {smallest}')
        return int(text)

    return number


def fraction(text: str) -> float:
    """A number above 0 and up to 1, for argparse."""
    if not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not above 0 and up to 1')
    return float(text)


if __name__ == '__main__':
    main()
