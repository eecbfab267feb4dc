"""The web application: a form, a result, the model card, and the same as JSON for programs.

Predictor, limits, host names -> FastAPI application
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from mammo.inference.exam import MAX_IMAGES, ExamError
from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.inference.web.entry import Entry, fields
from mammo.inference.web.guard import Guard
from mammo.inference.web.pages import Pages, Problem
from mammo.records.versions import VERSIONS

logger = logging.getLogger(__name__)
LOOPBACK = ('127.0.0.1', 'localhost', '::1')
FIELD_BYTES = 10_000  # of one text field
RETRY_S = 30
UNUSABLE = 422  # the request is well formed, the exam in it cannot be scored
API = '/api/'
T = TypeVar('T')


@dataclass(frozen=True)
class Limits:
    """How much is taken at once."""

    max_bytes: int = 400 * 2**20  # of one request
    n_requests: int = 9  # one is computed, the others are uploaded or wait
    upload_s: float = 600


class Calculator:
    """The answers of one Predictor; one exam is computed at a time, in the order of arrival."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self.pages = Pages(predictor, limits.max_bytes)
        self.worker = ThreadPoolExecutor(1, 'predict')
        self.n_requests = 0

    async def form(self) -> HTMLResponse:
        """The page to upload an exam."""
        return HTMLResponse(self.pages.form())

    async def card(self) -> HTMLResponse:
        """The model card as a page."""
        return HTMLResponse(self.pages.card())

    async def health(self) -> JSONResponse:
        """Whether the calculator answers, and of which bundle."""
        return JSONResponse(
            dict(status='ok', bundle_id=self.predictor.bundle_id, format_version=VERSIONS['health'])
        )

    async def predict(self, request: Request) -> Response:
        """The filled form -> result, or the form again with what is wrong."""
        entry = Entry()
        try:
            async with self.entry(request) as entry:
                problems = entry.check(self.predictor)
                if problems:
                    error = ExamError('CLINICAL_VALUE', 'some clinical values cannot be used')
                    problem = Problem.of(error)._replace(fields=problems)
                    return HTMLResponse(self.pages.form(entry, problem), UNUSABLE)
                page = await self.run(
                    request, entry, lambda found: self.pages.result(found, entry.tumor_side)
                )
                return HTMLResponse(page)
        except ExamError as error:
            return HTMLResponse(self.pages.form(entry, Problem.of(error)), UNUSABLE)

    async def api_predict(self, request: Request) -> Response:
        """The same fields -> prediction.json, or reason and message."""
        try:
            async with self.entry(request) as entry:
                problems = entry.check(self.predictor)
                if problems:
                    raise ExamError('CLINICAL_VALUE', '; '.join(problems.values()))
                return Response(
                    await self.run(request, entry, Prediction.to_json), 200, None, 'application/json'
                )
        except ExamError as error:
            return JSONResponse(dict(reason=error.reason, message=error.message), UNUSABLE)

    @asynccontextmanager
    async def entry(self, request: Request) -> AsyncIterator[Entry]:
        """Read the upload, if there is room for one more; its files are gone at the end."""
        with self.place():
            n_fields = len(fields(self.predictor))
            parts = dict(max_files=MAX_IMAGES + n_fields, max_fields=2 * n_fields, max_part_size=FIELD_BYTES)
            try:
                async with asyncio.timeout(self.limits.upload_s):
                    form = await request.form(**parts)
            except TimeoutError:
                raise HTTPException(408, f'It may take {self.limits.upload_s:g} s. Try again.') from None
            try:
                yield Entry.of(form)
            finally:
                await form.close()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the exams that are computed or wait.

        Raises:
            HTTPException: 503, all places are taken.
        """
        if self.n_requests >= self.limits.n_requests:
            text = f'{self.n_requests} exams are being computed or wait. Try again in half a minute.'
            raise HTTPException(503, text, {'Retry-After': str(RETRY_S)})
        self.n_requests += 1
        try:
            yield
        finally:
            self.n_requests -= 1

    async def run(self, request: Request, entry: Entry, then: Callable[[Prediction], T]) -> T:
        """Predict in the one worker thread, unless the client is gone when its turn comes."""
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def work() -> T:
            if gone.is_set():
                raise HTTPException(408, 'The client left.')
            with tempfile.TemporaryDirectory(prefix='exam-') as folder:
                jobs = entry.save(Path(folder))
                prediction = self.predictor.predict(jobs, **entry.options(self.predictor))
            return then(prediction)

        future = loop.run_in_executor(self.worker, work)
        while not (await asyncio.wait([future], timeout=0.5))[0]:
            if await request.is_disconnected():
                gone.set()
        return await future

    def refuse(self, request: Request, status: int, text: str) -> Response:
        """A page, or JSON for programs."""
        if request.url.path.startswith(API):
            return JSONResponse(dict(reason=f'HTTP_{status}', message=text), status)
        return HTMLResponse(self.pages.message(status, text), status)


def build_app(
    predictor: Predictor, limits: Limits | None = None, hosts: Collection[str] = LOOPBACK
) -> FastAPI:
    """The calculator of one bundle; ``hosts`` are the names it may be reached under."""
    limits = limits or Limits()
    calculator = Calculator(predictor, limits)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)  # their pages load from other hosts

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = calculator.refuse(request, error.status_code, error.detail)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(HTTPException, refused)
    app.add_middleware(Guard, hosts=hosts, max_bytes=limits.max_bytes, page=calculator.refuse)
    app.mount('/static', StaticFiles(directory=Path(__file__).parent / 'static'))
    app.add_api_route('/', calculator.form, methods=['GET', 'HEAD'])
    app.add_api_route('/predict', lambda: RedirectResponse('/', 303))  # an answer has no address of its own
    app.add_api_route('/card', calculator.card)
    app.add_api_route('/health', calculator.health)
    app.add_api_route('/predict', calculator.predict, methods=['POST'])
    app.add_api_route(f'{API}predict', calculator.api_predict, methods=['POST'])
    return app
