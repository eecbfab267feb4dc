# PYTHON_ARGCOMPLETE_OK
"""CBIS-DDSM (Lee et al. 2017, doi 10.1038/sdata.2017.177) to the input of tools/preprocess.py.

{mass,calc}_case_description_{train,test}_set.csv, folder -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command
from mammo.public_sets.options import converted


@command()
def main() -> None:
    """Print what became of the tables."""
    print(converted(__doc__, 'cbis_ddsm', '*_case_*.csv --image-root CBIS-DDSM --out-dir data/cbis'))


if __name__ == '__main__':
    main()
