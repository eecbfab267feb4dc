# PYTHON_ARGCOMPLETE_OK
"""RSNA Screening Mammography Breast Cancer Detection (Kaggle 2022) to the input of tools/preprocess.py.

train.csv, folder train_images/ -> images.csv, labels.csv, convert_report.json

Many have this set as pictures only: name their folder with --image-dir. Some of these exports left images
inverted; give tools/preprocess.py --invert auto, or a column photometric where it is known.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command
from mammo.public_sets.options import converted

EXAMPLE = 'train.csv --image-root train_images --out-dir data/rsna'


@command()
def main() -> None:
    """Print what became of the tables."""
    print(converted(__doc__, 'rsna2022', EXAMPLE, pictures=True))


if __name__ == '__main__':
    main()
