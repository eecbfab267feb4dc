"""A web calculator on this computer: upload the images of one exam, read the answer.

BUNDLE -> pages at http://127.0.0.1:7860, until Ctrl-C; nothing is stored, nothing is asked of other hosts

Uploads are in the folder of temporary files (TMPDIR) while their exam is computed; a killed server leaves
them there, unless TMPDIR is in memory (/dev/shm). There is no password: with --host the calculator is open to
all who reach this computer.
"""

import argparse
import contextlib
import ipaddress
import logging
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
import uvicorn

from mammo.inference.bundle import BundleError
from mammo.inference.predictor import Predictor
from mammo.inference.web.app import LOOPBACK, Limits, build_app

MAX_CONNECTIONS = 100
ANY = ('0.0.0.0', '::')
FINISH_S = 60  # for what is being computed when the server is stopped


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--bundle', type=Path, required=True, help='folder of tools/make_bundle.py')
    parser.add_argument('--port', type=int, default=7860, help='0: any free one; default: %(default)s')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen at; default: this computer only'
    )
    parser.add_argument(
        '--allow-host', action='append', default=[], metavar='NAME',
        help='a further name under which browsers reach this computer',
    )  # fmt: skip
    parser.add_argument('--max-upload-mb', type=int, default=400, help='of one exam; default: %(default)s')
    parser.add_argument('--device', choices=['auto', 'cpu', 'cuda'], default='auto')
    args = parser.parse_args()
    if args.max_upload_mb < 1:
        parser.error(f'--max-upload-mb {args.max_upload_mb}: expected at least 1')
    if not 0 <= args.port < 2**16:
        parser.error(f'--port {args.port}: expected 0 to 65535')
    return args


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on; they wait until the models are loaded.

    Raises:
        OSError: the port is in use, or the address is not of this computer.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        why = os.strerror(error.errno) if (error.errno or 0) > 0 else error.strerror  # else of a host name
        raise OSError(f'cannot listen at {host} port {port}: {why}; try another --port') from None


def is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def host_names(host: str, more: list[str]) -> set[str]:
    """Names and addresses that a browser may use for this calculator, in lower case."""
    names = {*LOOPBACK, host, *more}
    if not is_local(host):
        addresses = [a.address for found in psutil.net_if_addrs().values() for a in found]
        names |= {socket.gethostname(), *(addresses if host in ANY else ())}
    return {name.lower() for name in names}


def quiet_but_for_us() -> None:
    """Own lines and those of the server on standard error; those of libraries may quote headers."""
    logging.getLogger().addHandler(logging.NullHandler())
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
    for name in ('mammo.inference.web', 'uvicorn.error'):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if name == 'mammo.inference.web' else logging.WARNING)
        logger.propagate = False


def main() -> None:
    args = parse_args()
    try:
        server_socket = listening(args.host, args.port)
        predictor = Predictor.load(args.bundle, args.device)
    except (BundleError, ValueError, OSError) as error:
        sys.stderr.write(f'error: {error}\n')
        sys.exit(2)
    quiet_but_for_us()
    app = build_app(predictor, Limits(args.max_upload_mb * 2**20), host_names(args.host, args.allow_host))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan='off',
        ws='none', http='h11', limit_concurrency=MAX_CONNECTIONS, timeout_graceful_shutdown=FINISH_S,
    )  # fmt: skip
    if not is_local(args.host):
        sys.stderr.write(f'warning: {args.host} is reached from other computers, and there is no password\n')
    name = f'[{args.host}]' if ':' in args.host else args.host
    print(f'http://{name}:{server_socket.getsockname()[1]}/ is ready; Ctrl-C ends it', flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[server_socket])


if __name__ == '__main__':
    main()
