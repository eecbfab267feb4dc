# PYTHON_ARGCOMPLETE_OK
"""CMMD (Cui et al. 2021, TCIA doi 10.7937/tcia.eqde-4b16) to the input of tools/preprocess.py.

CMMD_clinicaldata_revision.xlsx, folder of patients -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command
from mammo.public_sets.options import converted


@command()
def main() -> None:
    """Print what became of the tables."""
    print(converted(__doc__, 'cmmd', 'CMMD_clinicaldata_revision.xlsx --image-root CMMD --out-dir data/cmmd'))


if __name__ == '__main__':
    main()
