# PYTHON_ARGCOMPLETE_OK
"""VinDr-Mammo (Nguyen et al. 2023, doi 10.1038/s41597-023-02100-7) to the input of tools/preprocess.py.

breast-level_annotations.csv, folder images/ -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command
from mammo.public_sets.options import converted

EXAMPLE = 'breast-level_annotations.csv --image-root images --out-dir data/vindr'


@command()
def main() -> None:
    """Print what became of the tables."""
    print(converted(__doc__, 'vindr_mammo', EXAMPLE, pictures=True))


if __name__ == '__main__':
    main()
