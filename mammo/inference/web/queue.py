"""Exams in the order of arrival, one computed at a time; each has a secret key, and is soon forgotten.

saved Entry, work -> Turn, whose place, progress and result can be asked for
"""

import asyncio
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException

from mammo.inference.web.entry import Entry

KEEP_S = 600  # an answer in memory, so that its page can be shown again
KEEP_N = 40  # answers in memory
LEFT_S = 60  # after which the client of a page that asks for nothing counts as gone
RETRY_S = 30
Work = Callable[['Turn'], Any]


@dataclass(eq=False)
class Turn:
    """One exam: it waits, is computed, or is answered."""

    entry: Entry
    folder: Path  # of its files, gone when it is computed
    address: str
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    seen_s: float = field(default_factory=time.monotonic)  # when its client last asked for it
    progress: tuple[int, int] = (0, 0)  # images that the backbones have seen, and all of them
    result: asyncio.Future = field(init=False)

    async def finished(self, patience_s: float) -> bool:
        """Whether it is answered or refused, at the latest after some seconds."""
        self.seen_s = time.monotonic()
        return bool((await asyncio.wait([self.result], timeout=patience_s))[0])

    def advance(self, n_seen: int, n_images: int) -> None:
        """Take note of the progress, as ``Predictor.predict`` tells it."""
        self.progress = (n_seen, n_images)


class Queue:
    """Turns of all clients, and how many each address has; one exam is computed at a time."""

    def __init__(self, per_address: int, n_exams: int) -> None:
        self.per_address, self.n_exams = per_address, n_exams
        self.worker = ThreadPoolExecutor(1, 'predict')
        self.turns: dict[str, Turn] = {}
        self.places: Counter[str] = Counter()  # by address: exams that are uploaded, wait or are computed

    def enter(self, address: str) -> None:
        """Take a place, before the upload; ``leave`` or the end of the turn gives it back.

        Raises:
            HTTPException: 429, the address has too many; 503, all have.
        """
        text = 'exams are being uploaded, wait or are computed. Send the next when one is answered.'
        if self.places[address] >= self.per_address:
            raise HTTPException(429, f'{self.places[address]} of your {text}', {'Retry-After': str(RETRY_S)})
        if self.places.total() >= self.n_exams:
            raise HTTPException(503, f'{self.places.total()} {text}', {'Retry-After': str(RETRY_S)})
        self.places[address] += 1

    def leave(self, address: str) -> None:
        """Give a place back."""
        self.places[address] -= 1
        self.places += Counter()  # forgets addresses without places

    def submit(self, turn: Turn, work: Work) -> Turn:
        """Let it wait for the one worker thread."""

        def run() -> Any:
            if time.monotonic() - turn.seen_s > LEFT_S:
                raise HTTPException(408, 'The client left.')
            return work(turn)

        turn.result = asyncio.get_running_loop().run_in_executor(self.worker, run)
        turn.result.add_done_callback(lambda _: self._finished(turn))
        self.turns[turn.key] = turn
        return turn

    def ahead(self, turn: Turn) -> int:
        """Number of exams that come before it."""
        waiting = [other for other in self.turns.values() if not other.result.done()]
        return waiting.index(turn) if turn in waiting else 0

    def _finished(self, turn: Turn) -> None:
        shutil.rmtree(turn.folder, ignore_errors=True)
        self.leave(turn.address)
        _ = turn.result.cancelled() or turn.result.exception()  # seen, so that asyncio logs no message of it
        asyncio.get_running_loop().call_later(KEEP_S, self.turns.pop, turn.key, None)
        done = [key for key, other in self.turns.items() if other.result.done()]
        for key in done[:-KEEP_N]:
            del self.turns[key]
