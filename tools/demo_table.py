# PYTHON_ARGCOMPLETE_OK
"""The demo's result: each task's metric per patient beside the best that the phantoms allow.

work dir of tools/cross_validate.py, truth.json of tools/make_phantom.py -> a table
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser


@command()
def main() -> None:
    """Parse, compare, print."""
    example = (
        'python tools/demo_table.py --cross-validation demo/cross_validation --truth demo/dicom/truth.json'
    )
    parser = tool_parser(__doc__, example)
    parser.add_argument('--cross-validation', type=Path, required=True, help='its --work-dir')
    parser.add_argument('--truth', type=Path, required=True, help='truth.json of the phantoms')
    args = parser.parse_args()

    from mammo.evaluation.report.against_truth import table

    print('\n'.join(table(args.cross_validation, args.truth)))


if __name__ == '__main__':
    main()
