"""Write a phantom data set: DICOM mammograms, labels, clinical variables, and the best reachable scores.

seed and number of patients -> dicom/*.dcm, images.csv, labels.csv, clinical.csv, truth.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse

import numpy as np
import pandas as pd
from tqdm import tqdm

from mammo.phantoms.files import write_exams
from mammo.phantoms.truth import CLINICAL, LABELS, best_reachable, drop_values, sample_patients
from mammo.records.files import write_json, write_text


def parse() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line; impossible values end the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out-dir', type=Path, required=True)
    parser.add_argument('--patients', type=int, default=120)
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes')
    parser.add_argument(
        '--missing-frac', type=float, default=0.0, help='share of empty labels, clinical values'
    )
    parser.add_argument(
        '--id-prefix',
        default='P',
        help='first letters of the ids, so that two sets of phantoms can be told apart',
    )
    parser.add_argument('--height', type=int, default=512, help='pixels')
    parser.add_argument('--width', type=int, default=320, help='pixels')
    parser.add_argument('--workers', type=int, default=1, help='processes; any number draws the same')
    args = parser.parse_args()
    for name, least in (('patients', 1), ('seed', 0), ('workers', 1)):
        if getattr(args, name) < least:
            parser.error(f'--{name} is {getattr(args, name)}, must be at least {least}')
    if not 0 <= args.missing_frac < 1:
        parser.error(f'--missing-frac is {args.missing_frac}, must be at least 0 and below 1')
    return parser, args


def main() -> None:
    """Draw patients, render them, write the tables, print the truth."""
    parser, args = parse()
    table = sample_patients(args.patients, np.random.default_rng([args.seed, 0]))
    table.insert(0, 'patient_id', [f'{args.id_prefix}{i + 1:04d}' for i in table.index])
    stale = {p.name.split('_')[0] for p in args.out_dir.glob('dicom/*.dcm')} - set(table['patient_id'])
    if stale:
        parser.error(f'--out-dir {args.out_dir} holds {min(stale)} of another run; choose an empty folder')
    try:
        shape, who = (args.height, args.width), table.to_dict('records')
        exams = write_exams(who, args.out_dir, shape, args.seed, args.id_prefix, args.workers)
        images = pd.DataFrame(list(tqdm(exams, 'images', 4 * len(table))))
    except ValueError as error:
        parser.error(str(error))
    table = drop_values(table, LABELS + CLINICAL, args.missing_frac, np.random.default_rng([args.seed, 1]))
    labels = table.rename(columns={'tumor_side': 'laterality'})[['patient_id', 'laterality', *LABELS]]
    tables = {'images': images, 'labels': labels}
    for name, frame in {**tables, 'clinical': table[['patient_id', *CLINICAL]]}.items():
        write_text(args.out_dir / f'{name}.csv', frame.to_csv(index=False))
    truth = best_reachable()
    write_json(args.out_dir / 'truth.json', truth)
    print('Best reachable from\n' + pd.DataFrame(truth['best']).T.to_string(float_format='%.3f', na_rep='-'))


if __name__ == '__main__':
    main()
