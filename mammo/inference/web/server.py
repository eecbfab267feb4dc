"""The calculator as a server on this computer.

bundle, address, limits -> pages until Ctrl-C
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mammo.errors import UserError
from mammo.inference.predictor import Predictor
from mammo.inference.web.app import LOOPBACK, Limits, build_app

MAX_CONNECTIONS = 32  # of one address; a browser opens six
ANY = ('0.0.0.0', '::')
FINISH_S = 60  # for what is being computed when the server is stopped


def serve(
    bundle: Path, device: str, host: str, port: int, more_names: Sequence[str], max_upload_mb: int,
    ready: Callable[[str], None],
) -> None:  # fmt: skip
    """Answer until Ctrl-C.

    Args:
        more_names: further names under which browsers reach this computer.
        ready: is told the address when it answers.

    Raises:
        UserError: the address or the bundle cannot be used.
    """
    server_socket = listening(host, port)
    predictor = Predictor.load(bundle, device)
    quiet_but_for_us()
    app = build_app(predictor, Limits(max_upload_mb * 2**20), host_names(host, more_names))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan='on',
        ws='none', http=Connection, timeout_graceful_shutdown=FINISH_S,
    )  # fmt: skip
    if not is_local(host):
        sys.stderr.write(f'warning: {host} is reached from other computers, and there is no password\n')
    name = f'[{host}]' if ':' in host else host
    ready(f'http://{name}:{server_socket.getsockname()[1]}/')
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[server_socket])


class Connection(H11Protocol):
    """One of the few that an address may have, so that none can take those of the others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or end it where its address has too many."""
        super().connection_made(transport)
        connections = [c for c in self.connections if isinstance(c, Connection) and _host(c) == _host(self)]
        if len(connections) > MAX_CONNECTIONS:
            transport.abort()


def _host(connection: Connection) -> str:
    return connection.client[0] if connection.client else ''


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on; they wait until the models are loaded.

    Raises:
        UserError: the port is in use, or the address is not of this computer.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        # errors of host names have numbers below 0
        why = os.strerror(error.errno) if (error.errno or 0) > 0 else error.strerror  # type: ignore[arg-type]
        raise UserError(f'cannot listen at {host} port {port}: {why}; try another --port') from None


def is_local(host: str) -> bool:
    """Whether an address is reached from this computer only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def host_names(host: str, more: Sequence[str]) -> set[str]:
    """Names and addresses that a browser may use for this calculator, in lower case."""
    names = {*LOOPBACK, host, *more}
    if not is_local(host):
        addresses = [a.address for part in psutil.net_if_addrs().values() for a in part]
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
