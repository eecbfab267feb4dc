"""CBIS-DDSM (Lee et al. 2017, doi 10.1038/sdata.2017.177) to the input of tools/preprocess.py.

{mass,calc}_case_description_{train,test}_set.csv, folder -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command
from mammo.public_sets.options import table_options


@command()
def main() -> None:
    """Parse, convert, print what became of the tables."""
    example = '*_case_*.csv --image-root CBIS-DDSM --out-dir data/cbis'
    args = table_options(__doc__, f'python tools/dataset_converters/cbis_ddsm.py {example}')

    from mammo.public_sets.convert import write_inputs
    from mammo.public_sets.layouts import CBIS_DDSM

    print(write_inputs(CBIS_DDSM, **vars(args)))


if __name__ == '__main__':
    main()
