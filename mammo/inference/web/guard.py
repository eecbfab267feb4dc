"""What stands before every request: known host, own page, bounded size; and headers, log, incidents.

ASGI application -> ASGI application
"""

import asyncio
import logging
import secrets
import time
import traceback
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)
GRACE_S = 20  # of an upload, before its pace counts
MIN_BYTES_PER_S = 20_000  # of an upload; a slower one would keep a place from others
POLICY = {
    'default-src': "'none'", 'style-src': "'self'", 'script-src': "'self'", 'img-src': "'self' data:",
    'form-action': "'self'", 'base-uri': "'none'", 'frame-ancestors': "'none'",
}  # fmt: skip
HEADERS = {
    'Content-Security-Policy': '; '.join(f'{key} {value}' for key, value in POLICY.items()),
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'same-origin',  # with no-referrer a browser hides the Origin of our own form
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
}
Page = Callable[[Request, int, str], Response]


class Guard:
    """Refuses by itself what no page should see; nothing that a user sent goes into the log.

    Args:
        hosts: names under which the calculator is reached. Others are refused, so that no foreign page
            can give itself this address (DNS rebinding). Starlette's TrustedHostMiddleware would answer 400
            without the remedy, and not in JSON to programs.
        page: request, status, message -> the answer of a refusal.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], max_bytes: int, page: Page) -> None:
        self.app, self.hosts, self.max_bytes, self.page = app, hosts, max_bytes, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with the reason why not."""
        if scope['type'] != 'http':
            return await self.app(scope, receive, send)
        request, start, status = Request(scope), time.monotonic(), 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message['type'] == 'http.response.start':
                status = message['status']
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            refused = self.refusal(request)
            answer = self.page(request, *refused) if refused else self.app
            await answer(scope, self.counted(receive), send_on)
        except ClientDisconnect:
            logger.info('a client left before it had its answer')
        except Exception as error:  # the outermost place: the server stays up
            number = incident(error)
            if not status:
                text = f'This is incident {number}. Please tell that number to who runs this calculator.'
                await self.page(request, 500, text)(scope, receive, send_on)
        place = getattr(scope.get('route'), 'path', 'other')
        logger.info('%s %s %s %.2f s', scope['method'], place, status, time.monotonic() - start)

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """Status and message, if the headers alone tell that there is nothing to answer."""
        host = request.headers.get('host', '')
        if _name(f'//{host}') not in self.hosts:
            return 421, 'Use the address that was printed at the start, or start with --allow-host NAME.'
        if request.method not in ('GET', 'HEAD') and not _own(request, host):
            return 403, 'Open the form of this calculator and send it from there.'
        if int(request.headers.get('content-length', 0)) > self.max_bytes:
            return 413, self.too_large
        return None

    def counted(self, receive: Receive) -> Receive:
        """The same stream, which ends with 413 where it grows too long, with 408 where it hardly moves."""
        n_bytes, whole, start = 0, False, time.monotonic()

        async def receive_on() -> Message:
            nonlocal n_bytes, whole
            left_s = start + GRACE_S + n_bytes / MIN_BYTES_PER_S - time.monotonic()
            try:
                async with asyncio.timeout(None if whole else max(left_s, 0)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, self.too_slow) from None
            whole = whole or not message.get('more_body', False)
            n_bytes += len(message.get('body', b''))
            if n_bytes > self.max_bytes:
                raise HTTPException(413, self.too_large)
            return message

        return receive_on

    @property
    def too_slow(self) -> str:
        """What the user reads whose upload took too long."""
        rate = f'{MIN_BYTES_PER_S // 1000} kB per second'
        return f'An upload may take {GRACE_S:g} s, and as long as at least {rate} arrive. Try again.'

    @property
    def too_large(self) -> str:
        """What the user reads whose files are too large together."""
        return (
            f'All files together may have {self.max_bytes // 2**20} MB. Choose the images of one exam only.'
        )


def incident(error: Exception) -> str:
    """Log where it happened, without the message, which may quote what a user sent -> number."""
    number = secrets.token_hex(4)
    where = ''.join(traceback.format_tb(error.__traceback__))
    logger.error('incident %s: %s\n%s', number, type(error).__name__, where)
    return number


def _own(request: Request, host: str) -> bool:
    """Whether a browser says that our own page sent this; other programs say nothing."""
    site, origin = request.headers.get('sec-fetch-site'), request.headers.get('origin')
    return site in (None, 'same-origin', 'none') and (origin is None or origin.partition('//')[2] == host)


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
