"""The command line that the converters of public data sets share.

docstring of a converter, name of its layout -> its main
"""

from collections.abc import Callable
from pathlib import Path

from mammo.command import command, tool_parser

PICTURES = 'instead: folder of PNG or JPEG exports, named <patient>_<image> or <patient>/<image>'


def table_tool(doc: str | None, name: str, example: str, *, pictures: bool = False) -> Callable[[], None]:
    """The main of ``tools/dataset_converters/NAME.py``, for the layout NAME of mammo.public_sets.layouts.

    Args:
        pictures: exports of the images are taken, too.
    """

    @command()
    def main() -> None:
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

        print(write_inputs(getattr(layouts, name.upper()), **vars(args)))  # noqa: T201  (the result)

    return main
