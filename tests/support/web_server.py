"""tools/serve.py as a process of its own, for tests.

bundle, options -> running server with its address, log and folder of temporary files; gone at the end
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from fastapi.testclient import TestClient

from mammo.inference.web.scratch import LOCK

ROOT = Path(__file__).resolve().parents[2]
START_S = 120


class Browser(TestClient):
    """Goes on to the page of an answer, and looks again as long as it says so."""

    def post(self, *args: Any, **options: Any) -> httpx.Response:
        response = super().post(*args, **options)
        while 'refresh' in response.headers:
            response = self.get(str(response.url))
        return response


def left(folder: Path) -> list[Path]:
    """Files of exams in a folder of temporary files."""
    return [path for path in folder.rglob('*') if path.is_file() and path.name != LOCK]


class Server(NamedTuple):
    process: subprocess.Popen
    url: str
    log: Path
    scratch: Path  # its folder of temporary files

    @property
    def port(self) -> int:
        return int(self.url.rstrip('/').rpartition(':')[2])


def command(bundle: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / 'tools/serve.py'),
        '--bundle',
        str(bundle),
        '--device',
        'cpu',
        *options,
    ]


@contextmanager
def serving(bundle: Path, folder: Path, *options: str) -> Iterator[Server]:
    """Start the server on a free port and wait until it is ready."""
    log, scratch = folder / 'serve.log', folder / 'scratch'
    scratch.mkdir()
    environment = os.environ | dict(OMP_NUM_THREADS='1', TMPDIR=str(scratch), PYTHONUNBUFFERED='1')
    with log.open('w') as file:
        process = subprocess.Popen(
            command(bundle, '--port', '0', *options), stdout=file, stderr=file, env=environment, cwd=folder
        )
    try:
        yield Server(process, _address(process, log), log, scratch)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _address(process: subprocess.Popen, log: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r'(http://\S+) is ready', log.read_text())
        if found:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f'the server did not start: {log.read_text()}')
