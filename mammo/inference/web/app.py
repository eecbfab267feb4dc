"""The web application: a form, a result, the model card, and the same as JSON for programs.

Predictor, limits, host names -> FastAPI application
"""

import math
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mammo.errors import FULL_DISK
from mammo.inference.exam.reading import MAX_IMAGES
from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import ExamError, Refusal
from mammo.inference.web.entry import Entry, fields
from mammo.inference.web.guard import Guard
from mammo.inference.web.openapi import describe, request_body, responses
from mammo.inference.web.pages import Pages, Problem
from mammo.inference.web.queue import Queue, Turn
from mammo.inference.web.scratch import PREFIX, scratch
from mammo.records.versions import VERSIONS

LOOPBACK = ('127.0.0.1', 'localhost', '::1')
FIELD_BYTES = 10_000  # of one text field
PATIENCE_S, REFRESH_S = 1, 2  # before a page says that its exam waits, and before it asks again
API = '/api/'
GONE = 'This answer is not kept any longer, or there was none. Compute the exam again.'


@dataclass(frozen=True)
class Limits:
    """How much is taken at once."""

    max_bytes: int = 400 * 2**20  # of one request
    per_address: int = 8  # exams of one computer that are uploaded, wait or are computed
    n_exams: int = 100  # the same, of all computers: their files are on the disk


class Calculator:
    """The answers of one Predictor; one exam is computed at a time, in the order of arrival."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor = predictor
        self.pages = Pages(predictor, limits.max_bytes)
        self.queue = Queue(limits.per_address, limits.n_exams)
        self.folder: Path | None = None  # of temporary files; None: where they usually are

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
        """The filled form -> the page of its answer, or the form again with what is wrong."""
        turn = await self.accept(request, lambda prediction, turn: self.pages.result(prediction, turn.key))
        return RedirectResponse(f'/exam/{turn.key}/predict', 303)

    async def answer(self, key: str, request: Request) -> Response:
        """Place in the queue, progress or result; or the form again with what is wrong."""
        turn = self._turn(key, request)
        if await turn.finished(PATIENCE_S):
            return HTMLResponse(turn.result.result())
        page = self.pages.waiting(self.queue.ahead(turn), turn.progress, key)
        return HTMLResponse(page, headers=dict(Refresh=str(REFRESH_S)))

    async def again(self, key: str, request: Request) -> HTMLResponse:
        """The form with what was typed for an exam."""
        return HTMLResponse(self.pages.form(self._turn(key, request).entry))

    async def api_predict(self, request: Request) -> Response:
        """Answer the images of one exam, as prediction.json."""
        turn = await self.accept(request, lambda prediction, _: prediction.to_json())
        while not await turn.finished(0.5):
            if await request.is_disconnected():
                turn.seen_s = -math.inf  # so that it is dropped when its turn comes
                raise ClientDisconnect
        return Response(turn.result.result(), media_type='application/json')

    async def accept(self, request: Request, then: Callable[[Prediction, Turn], str]) -> Turn:
        """Read and check an upload, and let it wait for its turn; ``then`` is what its result becomes."""
        address = request.client.host if request.client else ''
        self.queue.enter(address)
        try:
            turn = await self._read(request, address)
            return self.queue.submit(turn, lambda turn: then(self._answer(turn), turn))
        except BaseException as error:
            self.queue.leave(address)
            if isinstance(error, OSError) and error.errno in FULL_DISK:
                text = 'the disk of the computer that runs this calculator is full; nothing was kept'
                raise ExamError(Refusal.DISK_FULL, text) from None
            raise

    async def _read(self, request: Request, address: str) -> Turn:
        n_fields = len(fields(self.predictor))
        parts = dict(max_files=MAX_IMAGES + n_fields, max_fields=2 * n_fields, max_part_size=FIELD_BYTES)
        async with request.form(**parts) as form:
            entry = request.state.entry = Entry.of(form)
            entry.check(self.predictor)
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder))
            try:
                await run_in_threadpool(entry.save, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return Turn(entry, folder, address)

    def _answer(self, turn: Turn) -> Prediction:
        options = turn.entry.options(self.predictor)
        return self.predictor.predict(turn.entry.jobs, progress=turn.advance, **options)

    def _turn(self, key: str, request: Request) -> Turn:
        turn = self.queue.turns.get(key)
        if turn is None:
            raise HTTPException(404, GONE)
        request.state.entry = turn.entry
        return turn

    def unusable(self, request: Request, error: ExamError) -> Response:
        """The form again, with what was typed; or JSON for programs."""
        if request.url.path.startswith(API):
            return _as_json(error.reason, error.message, error.reason.status)
        entry = getattr(request.state, 'entry', Entry())
        return HTMLResponse(self.pages.form(entry, Problem.of(error)), error.reason.status)

    def refuse(self, request: Request, status: int, text: str) -> Response:
        """A page, or JSON for programs."""
        if request.url.path.startswith(API):
            return _as_json(Refusal.of_status(status), text, status)
        return HTMLResponse(self.pages.message(status, text), status)


def _as_json(refusal: Refusal, text: str, status: int) -> JSONResponse:
    return JSONResponse(dict(reason=refusal, message=text, remedy=refusal.remedy), status)


def build_app(
    predictor: Predictor, limits: Limits | None = None, hosts: Collection[str] = LOOPBACK
) -> FastAPI:
    """The calculator of one bundle; ``hosts`` are the names it may be reached under."""
    limits = limits or Limits()
    calculator = Calculator(predictor, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with scratch() as calculator.folder:
            yield
            calculator.queue.worker.shutdown(cancel_futures=True)

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, ExamError):
            return calculator.unusable(request, error)
        assert isinstance(error, HTTPException)
        response = calculator.refuse(request, error.status_code, error.detail)
        response.headers.update(error.headers or {})
        return response

    app = FastAPI(docs_url=None, redoc_url=None, lifespan=lifespan)  # their pages load from other hosts
    for kind in (HTTPException, ExamError):
        app.add_exception_handler(kind, refused)
    app.add_middleware(Guard, hosts=hosts, max_bytes=limits.max_bytes, page=calculator.refuse)
    app.mount('/static', StaticFiles(directory=Path(__file__).parent / 'static'))

    def page(path: str, endpoint: Callable[..., Any], *methods: str) -> None:
        app.add_api_route(path, endpoint, methods=[*methods] or ['GET'], include_in_schema=False)

    page('/', calculator.form, 'GET', 'HEAD')
    page('/predict', lambda: RedirectResponse('/', 303))  # the page of an answer has a secret key
    page('/predict', calculator.predict, 'POST')
    page('/exam/{key}/predict', calculator.answer)
    page('/exam/{key}/again', calculator.again)
    page('/card', calculator.card)
    page('/health', calculator.health)
    app.add_api_route(
        f'{API}predict', calculator.api_predict, methods=['POST'], response_class=Response,
        openapi_extra=dict(requestBody=request_body(predictor)), responses=responses(),
    )  # fmt: skip
    describe(app)
    return app
