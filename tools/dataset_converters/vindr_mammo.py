"""VinDr-Mammo (Nguyen et al. 2023, doi 10.1038/s41597-023-02100-7) to the input of tools/preprocess.py.

breast-level_annotations.csv, folder images/ -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command
from mammo.public_sets.options import table_options


@command()
def main() -> None:
    """Parse, convert, print what became of the tables."""
    example = 'breast-level_annotations.csv --image-root images --out-dir data/vindr'
    args = table_options(__doc__, f'python tools/dataset_converters/vindr_mammo.py {example}', pictures=True)

    from mammo.public_sets.convert import write_inputs
    from mammo.public_sets.layouts import VINDR_MAMMO

    print(write_inputs(VINDR_MAMMO, **vars(args)))


if __name__ == '__main__':
    main()
