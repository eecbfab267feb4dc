"""200 requests to the web calculator, 8 at a time, one in ten bad: every answer right, memory flat.

bundle, phantom exams -> statuses and numbers compared with Predictor.predict, memory of the server over time
Command: python benchmarks/bench_requests.py [--bundle BUNDLE] [--requests N] [--at-once N]
"""

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
import numpy as np
import psutil

from benchmarks.small_bundle import make_bundle
from benchmarks.table import as_text, row
from mammo.inference.predictor import Predictor
from mammo.inference.web.scratch import LOCK
from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import sample_patients

ROOT = Path(__file__).resolve().parents[1]
N_EXAMS = 10
BAD_EVERY = 10
MAX_MB = 20
LOG = 'serve.log'
SETTLED = 40  # requests after which memory has to stay
GROWTH = 0.05  # of the memory after these, that counts as flat
OFFERED = re.compile(r'href="data:application/json;base64,([^"]+)')
ADDRESS = re.compile(r'(http://\S+) is ready')


class Case(NamedTuple):
    """One request and the answer that it must get: a status, and the prediction or the reason."""

    name: str
    files: list[tuple[str, tuple[str, bytes]]]
    data: dict[str, str]
    headers: dict[str, str]
    status: int
    expected: Any
    page: bool = False  # asked as a browser does, and read from the page; else as a program does


def good_cases(predictor: Predictor, folder: Path) -> Iterator[Case]:
    """Exams of one to four views, with clinical values where the bundle takes them."""
    rng = np.random.default_rng(0)
    for i, patient in enumerate(sample_patients(N_EXAMS, rng).to_dict('records')):
        paths = []
        for ds, about in render_exam(patient, i, (480, 320), 0):
            paths.append(folder / f'{i}_{about["laterality"]}_{about["view"]}.dcm')
            ds.save_as(paths[-1], enforce_file_format=True)
        paths = paths[: 1 + i % 4]
        known = [v for v in predictor.schema if (i + len(v['name'])) % 3]
        clinical = {v['name']: typed(v, i, rng) for v in known}
        expected = timeless(json.loads(predictor.predict(paths, clinical).to_json()))
        files = [('images', (path.name, path.read_bytes())) for path in paths]
        yield Case(
            'good',
            files,
            {f'clinical.{k}': v for k, v in clinical.items()},
            {},
            200,
            expected,
            page=i % 2 == 0,
        )


def timeless(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | dict(inputs=answer['inputs'] | dict(time=None))


def typed(v: dict[str, Any], i: int, rng: np.random.Generator) -> str:
    """A value of a clinical variable, as in a form."""
    return v['levels'][i % len(v['levels'])] if v['levels'] else f'{rng.uniform(*v["range"]):.1f}'


def bad_cases(good: list[Case], predictor: Predictor) -> list[Case]:
    """What users send by mistake, and what others send on purpose."""
    film = good[3].files[0]
    other, cut = good[7].files[1], (film[0], (film[1][0], film[1][1][:-900]))
    raw = film[1][1].replace(b'FOR PRESENTATION', b'FOR PROCESSING  ')
    make = partial(Case, data={}, headers={}, status=422)
    value = 'CLINICAL_VALUE' if predictor.schema else 'CLINICAL_NAME'
    name = next((v['name'] for v in predictor.schema), 'age')
    return [
        make('letter', [('images', ('letter.pdf', b'%PDF-1.7'))], expected='NOT_DICOM'),
        make('cut off', [cut], expected='TRUNCATED'),
        make('two patients', [film, other], expected='MIXED_PATIENTS'),
        make('twice', [film, film], expected='DUPLICATE'),
        make('for processing', [('images', ('raw.dcm', raw))], expected='FOR_PROCESSING'),
        make('no file', [('images', ('', b''))], expected='NUMBER_OF_IMAGES'),
        make('clinical value', [film], data={f'clinical.{name}': 'blue'}, expected=value),
        make('clinical name', [film], data={'clinical.shoe size': '39'}, expected='CLINICAL_NAME'),
        make(
            'other page', [film], headers={'Origin': 'http://evil.example'}, status=403, expected='HTTP_403'
        ),
        make(
            'too large',
            [('images', ('big.dcm', bytes((MAX_MB + 1) * 2**20)))],
            status=413,
            expected='HTTP_413',
        ),
    ]


def mixed(good: list[Case], bad: list[Case], n: int) -> Iterator[Case]:
    """``n`` cases, the last of every ten a bad one, each kind in its turn."""
    for i in range(n):
        tens, ones = divmod(i, BAD_EVERY)
        yield bad[tens % len(bad)] if ones == BAD_EVERY - 1 else good[i % len(good)]


@contextmanager
def serving(bundle: Path, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The server in a process of its own -> address, process."""
    command = [sys.executable, str(ROOT / 'tools/serve.py'), '--bundle', str(bundle)]
    command += ['--port', '0', '--device', 'cpu', '--max-upload-mb', str(MAX_MB)]
    environment = os.environ | dict(TMPDIR=str(folder))
    with (folder / LOG).open('w') as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        while not (found := ADDRESS.search((folder / LOG).read_text())):
            if process.poll() is not None:
                sys.exit(f'the server did not start: {(folder / LOG).read_text()}')
            time.sleep(0.2)
        yield found[1], psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def ask(url: str, server: psutil.Process, case: Case) -> tuple[str, float, float]:
    """Send a case -> what is wrong with the answer ('' if nothing), seconds, MiB of the server after it."""
    start, place = time.monotonic(), 'predict' if case.page else 'api/predict'
    sent = dict(files=case.files, data=case.data, headers=case.headers, timeout=600)
    answer = httpx.post(url + place, follow_redirects=True, **sent)
    while 'refresh' in answer.headers:
        time.sleep(float(answer.headers['refresh']))
        answer = httpx.get(answer.url, timeout=600)
    seconds = time.monotonic() - start
    offered = base64.b64decode(OFFERED.findall(answer.text)[0]) if case.page else answer.content
    content = json.loads(offered)
    found = timeless(content) if case.status == 200 else content.get('reason')
    right = answer.status_code == case.status and found == case.expected
    problem = '' if right else f'{case.name}: {answer.status_code} {str(content)[:300]}'
    return problem, seconds, server.memory_info().rss / 2**20


def measure(bundle: Path | None = None, n_requests: int = 200, at_once: int = 8) -> list[dict]:
    """Rows of the table; ends the program if an answer is wrong, the server fails, or its memory grows."""
    with tempfile.TemporaryDirectory() as name:
        folder, scratch = Path(name), Path(name) / 'scratch'
        scratch.mkdir()
        bundle = bundle or make_bundle(folder)
        predictor = Predictor.load(bundle, 'cpu')
        good = list(good_cases(predictor, folder))
        cases = list(mixed(good, bad_cases(good, predictor), n_requests))
        with serving(bundle, scratch) as (url, server), ThreadPoolExecutor(at_once) as pool:
            start = time.monotonic()
            found = list(pool.map(partial(ask, url, server), cases))
            per_s = len(cases) / (time.monotonic() - start)
            httpx.get(f'{url}health').raise_for_status()
        problems = [problem for problem, *_ in found if problem]
        left = [path for path in scratch.rglob('*') if path.is_file() and path.name not in (LOG, LOCK)]
        problems += [f'{path} was left' for path in left]
        problems += re.findall('incident .*', (scratch / LOG).read_text())
    seconds, memory = np.array([numbers for _, *numbers in found]).T
    settled, last = np.median(memory[SETTLED - 10 : SETTLED]), np.median(memory[-10:])
    if last > settled * (1 + GROWTH):
        problems.append(f'memory grew from {settled:.0f} to {last:.0f} MiB')
    if problems:
        sys.exit('\n'.join(problems))
    numbers = {
        f'{n_requests} requests, {at_once} at a time, all answers right': (per_s, '1/s'),
        'median request': (np.median(seconds), 's'),
        'slowest request': (seconds.max(), 's'),
        f'server after {SETTLED} requests': (settled, 'MiB'),
        'server at the end': (last, 'MiB'),
        'server at most': (memory.max(), 'MiB'),
    }
    return [row(stage, None, float(value), unit, None) for stage, (value, unit) in numbers.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bundle', type=Path, help='default: a small one of random weights')
    parser.add_argument('--requests', type=int, default=200)
    parser.add_argument('--at-once', type=int, default=8)
    args = parser.parse_args()
    print(as_text(measure(args.bundle, args.requests, args.at_once)))


if __name__ == '__main__':
    main()
