# PYTHON_ARGCOMPLETE_OK
"""Convert mini-MIAS: crop the breast, write 8-bit PNG, and train, val and test meta files by woman.

SRC as distributed: Info.txt, and mdb001 to mdb322 as .pgm or .png in it or in SRC/images.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mammo.command import command, tool_parser


@command()
def main() -> None:
    """Parse, convert, print the table of splits."""
    parser = tool_parser(
        __doc__, 'python tools/dataset_converters/mias.py --src all-mias --out-dir data/mias'
    )
    parser.add_argument('--src', type=Path, required=True, help='mini-MIAS folder')
    parser.add_argument('--out-dir', type=Path, required=True, help='new or empty folder')
    parser.add_argument('--seed', type=int, default=0, help='of the split')
    args = parser.parse_args()

    from mammo.public_sets.mias_files import write_data_set

    print(write_data_set(args.src, args.out_dir, args.seed).to_string())


if __name__ == '__main__':
    main()
