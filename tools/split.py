"""Nested, patient-grouped, stratified cross-validation folds of a meta file.

META -> FOLDS/<outer>/<inner>/{train,val,test}.json, FOLDS/split_report.json [, FOLDS/holdout.json]
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.preprocess import split
from mammo.records.files import write_json
from mammo.records.meta import read_meta, write_meta


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line; a folder that holds something is refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('meta', type=Path)
    parser.add_argument('--out-dir', type=Path, required=True, help='folder of the folds, new or empty')
    parser.add_argument('--outer', type=int, default=5)
    parser.add_argument('--inner', type=int, default=5)
    parser.add_argument('--group', default='patient_id', help='field that must stay on one side')
    parser.add_argument('--stratify', help='task whose label rate the folds share, e.g. N')
    parser.add_argument('--holdout-cohort', help='cohort kept out of all folds, written to holdout.json')
    parser.add_argument(
        '--labelled-only',
        action='store_true',
        help='leave images without any label (healthy breasts, say) out of train and val',
    )
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if args.out_dir.is_dir() and any(args.out_dir.iterdir()):
        parser.error(f'--out-dir {args.out_dir} is not empty; folds of two splits must not mix')
    return parser, args


def main() -> None:
    """Read the meta file, split its patients, write the folds; exit 2 with a message on bad input."""
    parser, args = parse_args()
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s: %(message)s')
    try:
        meta = read_meta(args.meta)
        items, tasks, group = meta['data_list'], meta['metainfo']['tasks'], args.group
        holdout = split.held_out(items, group, args.holdout_cohort) if args.holdout_cohort else set()
        strata = split.patient_strata(items, group, args.stratify)
        strata = strata[~strata.index.isin(holdout)]
        folds = list(split.nested_folds(strata, args.outer, args.inner, args.seed))
    except ValueError as error:
        parser.error(str(error))
    images = split.Images(items, group, labelled_only=args.labelled_only)
    for fold in folds:
        for part, patients in fold.parts.items():
            path = args.out_dir / str(fold.outer) / str(fold.inner) / f'{part}.json'
            write_meta(path, images.of(part, patients), tasks)
    if holdout:
        write_meta(args.out_dir / 'holdout.json', images.of('holdout', holdout), tasks)
    settings = {k: v for k, v in vars(args).items() if k not in ('meta', 'out_dir')}
    summary = split.report(images, folds, holdout)
    write_json(args.out_dir / 'split_report.json', dict(format_version=1, settings=settings, **summary))
    print(
        f'{len(folds)} folds of {len(strata)} patients, {len(holdout)} held out; '
        f'shared between any two parts: {summary["shared_patients_max"]}'
    )


if __name__ == '__main__':
    main()
