"""The command line that the converters of public data sets share.

docstring of a converter -> its options
"""

import argparse
from pathlib import Path

from mammo.command import tool_parser


def table_options(doc: str | None, example: str) -> argparse.Namespace:
    """Parse ``tables``, ``image_root`` and ``out_dir``."""
    parser = tool_parser(doc, example)
    parser.add_argument(
        'tables', type=Path, nargs='+', metavar='TABLE', help='as the data set publishes them'
    )
    parser.add_argument('--image-root', type=Path, required=True, help='folder of the DICOM files')
    parser.add_argument('--out-dir', type=Path, required=True, help='folder for the three files')
    return parser.parse_args()
