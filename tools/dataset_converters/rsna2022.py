"""RSNA Screening Mammography Breast Cancer Detection (Kaggle 2022) to the input of tools/preprocess.py.

train.csv, folder train_images/ -> images.csv, labels.csv, convert_report.json

Many have this set as pictures only: name their folder with --image-dir. Some of these exports left images
inverted; give tools/preprocess.py --invert auto, or a column photometric where it is known.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command
from mammo.public_sets.options import table_options


@command()
def main() -> None:
    """Parse, convert, print what became of the tables."""
    example = 'train.csv --image-root train_images --out-dir data/rsna'
    args = table_options(__doc__, f'python tools/dataset_converters/rsna2022.py {example}', pictures=True)

    from mammo.public_sets.convert import write_inputs
    from mammo.public_sets.layouts import RSNA2022

    print(write_inputs(RSNA2022, **vars(args)))


if __name__ == '__main__':
    main()
