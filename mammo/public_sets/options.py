"""The command line that the converters of public data sets share.

docstring of a converter -> its options
"""

import argparse
from pathlib import Path

from mammo.command import tool_parser


def table_options(doc: str | None, example: str, *, pictures: bool = False) -> argparse.Namespace:
    """Parse ``tables``, ``image_root`` and ``out_dir``; with ``pictures``, ``image_dir`` in its place."""
    parser = tool_parser(doc, example)
    parser.add_argument(
        'tables', type=Path, nargs='+', metavar='TABLE', help='as the data set publishes them'
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument('--image-root', type=Path, help='folder of the DICOM files')
    if pictures:
        place.add_argument(
            '--image-dir',
            type=Path,
            help='instead: folder of PNG or JPEG exports, named <patient>_<image> or <patient>/<image>',
        )
    parser.add_argument('--out-dir', type=Path, required=True, help='folder for the three files')
    return parser.parse_args()
