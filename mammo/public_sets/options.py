"""The command line that the converters of public data sets share.

docstring of a converter, name of its layout -> what became of the tables, in a sentence
"""

from pathlib import Path

from mammo.command import tool_parser

PICTURES = 'instead: folder of PNG or JPEG exports, named <patient>_<image> or <patient>/<image>'


def converted(doc: str | None, name: str, example: str, *, pictures: bool = False) -> str:
    """Parse and convert, for the layout that ``tools/dataset_converters/NAME.py`` is called after.

    Args:
        pictures: exports of the images are taken, too.

    Returns:
        One sentence about what was made.
    """
    parser = tool_parser(doc, f'python tools/dataset_converters/{name}.py {example}')
    parser.add_argument(
        'tables', type=Path, nargs='+', metavar='TABLE', help='as the data set publishes them'
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument('--image-root', type=Path, help='folder of the DICOM files')
    if pictures:
        place.add_argument('--image-dir', type=Path, help=PICTURES)
    parser.add_argument('--out-dir', type=Path, required=True, help='folder for the three files')
    args = parser.parse_args()

    from mammo.public_sets import layouts
    from mammo.public_sets.convert import write_inputs

    return write_inputs(getattr(layouts, name.upper()), **vars(args))
