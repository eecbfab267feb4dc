# PYTHON_ARGCOMPLETE_OK
"""Write a phantom data set: DICOM mammograms, labels, clinical variables, and the best reachable scores.

seed and number of patients -> dicom/*.dcm, images.csv, labels.csv, clinical.csv, truth.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.terminal import made


@command()
def main() -> None:
    """Draw patients, render them, write the tables, print the truth."""
    parser = tool_parser(__doc__, 'python tools/make_phantom.py --out-dir data/phantom --patients 240')
    add = parser.add_argument
    add('--out-dir', type=Path, required=True, help='folder of the data set')
    add('--patients', type=int, default=120, help='number of patients, four images each')
    add('--seed', type=int, default=0, help='same seed, same bytes')
    add('--missing-frac', type=float, default=0.0, help='share of empty labels and clinical values')
    add('--id-prefix', default='P', help='first letters of the ids, which tell two sets of phantoms apart')
    add('--height', type=int, default=512, help='pixels')
    add('--width', type=int, default=320, help='pixels')
    add('--one-view', action='store_true', help='second lesions show in one view only, CC or MLO')
    add('--workers', type=int, default=1, help='processes; any number draws the same')
    args = parser.parse_args()

    import pandas as pd

    from mammo.phantoms.study import write_study

    truth = write_study(**vars(args))
    best = pd.DataFrame(truth['best']).T
    print('Best reachable from\n' + best.to_string(float_format='%.3f', na_rep='-'))
    folder, tables = args.out_dir, (args.out_dir / 'images.csv', '--labels', args.out_dir / 'labels.csv')
    made(folder, 'tools/preprocess.py', *tables, '--out-dir', 'DATA')


if __name__ == '__main__':
    main()
