# PYTHON_ARGCOMPLETE_OK
"""A web calculator on this computer: upload the images of one exam, read the answer.

BUNDLE -> pages at http://127.0.0.1:7860, until Ctrl-C; nothing is stored, nothing is asked of other hosts

Uploads are in the folder of temporary files (TMPDIR) until their exam is computed; what a killed server left
there is removed at the next start. Answers stay in memory for ten minutes. There is no password: with --host
the calculator is open to all who reach this computer.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser


@command()
def main() -> None:
    """Parse, serve, print the address when it answers."""
    parser = tool_parser(__doc__, 'python tools/serve.py --bundle bundle', loads='PyTorch')
    add = parser.add_argument
    add('--bundle', type=Path, required=True, help='folder of tools/make_bundle.py')
    add('--port', type=int, default=7860, help='0: any free one')
    add('--host', default='127.0.0.1', help='address to listen at; the usual one is of this computer only')
    add('--allow-host', action='append', default=[], metavar='NAME', help='a further name under which browsers reach this computer')  # fmt: skip  # noqa: E501
    add('--max-upload-mb', type=int, default=400, help='of one exam')
    add('--device', choices=['auto', 'cpu', 'cuda'], default='auto', help='where the network runs')
    args = parser.parse_args()
    if args.max_upload_mb < 1:
        parser.error(f'--max-upload-mb {args.max_upload_mb}: expected at least 1')
    if not 0 <= args.port < 2**16:
        parser.error(f'--port {args.port}: expected 0 to 65535')

    from mammo.quick_start import load_networks

    load_networks()
    from mammo.inference.web.server import serve

    serve(
        args.bundle, args.device, args.host, args.port, args.allow_host, args.max_upload_mb,
        ready=lambda address: print(f'{address} is ready; Ctrl-C ends it', flush=True),
    )  # fmt: skip


if __name__ == '__main__':
    main()
