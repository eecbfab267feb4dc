"""tools/serve.py as users start it: what it refuses, how it ends, and that it stays up."""

import contextlib
import json
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mammo.inference.web.scratch import PREFIX, scratch
from mammo.inference.web.server import MAX_CONNECTIONS, host_names
from mammo.records.versions import VERSIONS
from tests.mammo.inference.conftest import exam, films, predictor, toy  # noqa: F401  (fixtures)
from tests.support.web_server import ROOT, Server, left, serving

Request = pytest.FixtureRequest
TOOL = ROOT / 'tools/serve.py'


@pytest.fixture(scope='module')
def bundle(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue('toy').folder


@pytest.fixture(scope='module')
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(bundle, tmp_path_factory.mktemp('served'), '--max-upload-mb', '20') as found:
        yield found
        assert found.process.poll() is None  # up to the end, whatever the tests did
        assert 'Traceback' not in found.log.read_text()


@pytest.fixture
def failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Starts the tool in this process -> its standard error; the start must fail with one message."""

    def run(bundle: Path, *options: str) -> str:
        monkeypatch.setattr(sys, 'argv', ['serve.py', '--bundle', str(bundle), *options])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        out, error = capsys.readouterr()
        assert (end.value.code, out) == (2, '')
        return error

    return run


def files_of(paths: list[Path]) -> list[tuple[str, tuple[str, bytes]]]:
    return [('images', (path.name, path.read_bytes())) for path in paths]


def wait_for(condition: Any, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_port_in_use_is_one_message_before_the_bundle_is_looked_at(
    failed: Callable, tmp_path: Path
) -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        error = failed(tmp_path / 'nothing', '--port', str(port))
    expected = f'error: cannot listen at 127.0.0.1 port {port}: Address already in use; try another --port'
    assert error.splitlines()[-1] == expected


def test_a_damaged_bundle_and_one_of_a_newer_version_are_one_message(
    failed: Callable, bundle: Path, tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(bundle, tmp_path / 'damaged'))
    weights = bytearray((damaged / 'member_00.safetensors').read_bytes())
    weights[-1] ^= 1
    (damaged / 'member_00.safetensors').write_bytes(weights)
    assert 'member_00.safetensors: damaged or edited; copy the bundle again' in failed(damaged, '--port', '0')
    newer = Path(shutil.copytree(bundle, tmp_path / 'newer'))
    version = VERSIONS['bundle']
    manifest = json.loads((newer / 'manifest.json').read_text()) | dict(format_version=version + 1)
    (newer / 'manifest.json').write_text(json.dumps(manifest, indent=1, sort_keys=True) + '\n')
    error = failed(newer, '--port', '0')
    assert f'format_version is {version + 1}, this release reads {version - 1} and {version};' in error


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--port', '70000'], '--port 70000: expected 0 to 65535'),
        (['--max-upload-mb', '0'], '--max-upload-mb 0: expected at least 1'),
        (['--host', '192.0.2.1', '--port', '0'], 'cannot listen at 192.0.2.1'),
        (['--port', '0'], 'manifest.json'),
    ],
)
def test_wrong_options_are_one_message(
    failed: Callable, tmp_path: Path, options: list[str], message: str
) -> None:
    assert message in failed(tmp_path / 'nothing', *options)


@pytest.mark.parametrize(
    ('host', 'more', 'names', 'others'),
    [
        ('127.0.0.1', [], ['localhost', '127.0.0.1', '::1'], [socket.gethostname(), '0.0.0.0']),
        ('::1', [], ['::1'], []),
        (
            '0.0.0.0',
            ['Ward.example'],
            ['ward.example', '127.0.0.1', socket.gethostname().lower()],
            ['example'],
        ),
        ('192.0.2.7', [], ['192.0.2.7', 'localhost'], ['192.0.2.8']),
    ],
)
def test_names_of_the_calculator_are_few(host: str, more: list, names: list, others: list) -> None:
    found = host_names(host, more)
    assert set(names) <= found
    assert not found & set(others)


# ---- as a process of its own ----------------------------------------------------------------------------


@pytest.mark.slow
def test_it_listens_at_this_computer_only(server: Server) -> None:
    listening = [c for c in psutil.Process(server.process.pid).net_connections('tcp') if c.status == 'LISTEN']
    assert [c.laddr.ip for c in listening] == ['127.0.0.1']
    assert 'no password' not in server.log.read_text()


@pytest.mark.slow
def test_two_requests_at_once_get_their_own_answers(server: Server, request: Request) -> None:
    model, make_film = (request.getfixturevalue(name) for name in ('predictor', 'films'))
    exams = [[make_film(i, 'R', view) for view in ('CC', 'MLO')] for i in range(3)] * 2
    with ThreadPoolExecutor(6) as pool:
        found = list(
            pool.map(lambda e: httpx.post(f'{server.url}api/predict', files=files_of(e), timeout=120), exams)
        )
    for response, images in zip(found, exams, strict=True):
        answers = response.json(), json.loads(model.predict(images).to_json())
        assert [answer['inputs'].pop('time') != '' for answer in answers] == [True, True]
        assert answers[0] == answers[1]
    assert left(server.scratch) == []


@pytest.mark.slow
def test_2_gb_are_refused_after_the_first_kilobytes(server: Server) -> None:
    head = (
        f'POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {2**31}\r\n'
        'Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n'
    )
    with socket.create_connection(('127.0.0.1', server.port), timeout=20) as connection:
        connection.sendall(head.encode() + bytes(10_000))
        answer = ''
        while '</html>' not in answer:
            answer += connection.recv(100_000).decode()
    assert answer.startswith('HTTP/1.1 413 ')
    assert 'All files together may have 20 MB.' in answer


@pytest.mark.slow
def test_2_gb_without_announced_length_fill_neither_memory_nor_disk(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    before, most, sent = process.memory_info().rss, 0, 0
    head = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'

    def body() -> Iterator[bytes]:
        nonlocal most, sent
        yield head
        for _ in range(2048):  # 2 GB; what comes after the refusal is thrown away
            sent += 2**20
            most = max(most, sum(path.stat().st_size for path in left(server.scratch)))
            yield bytes(2**20)

    kind = {'Content-Type': 'multipart/form-data; boundary=x'}
    response = httpx.post(f'{server.url}predict', content=body(), headers=kind, timeout=120)
    assert response.status_code == 413
    assert sent >= 20 * 2**20
    assert most <= 21 * 2**20
    assert process.memory_info().rss - before < 64 * 2**20
    assert httpx.get(f'{server.url}health').json()['status'] == 'ok'
    assert left(server.scratch) == []


@pytest.mark.slow
def test_one_address_cannot_lock_others_out(server: Server, request: Request) -> None:
    """Idle connections, half a head, and uploads that stand still; another address is served at once."""
    images, taken = request.getfixturevalue('exam'), []
    head = f'POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n'
    form = 'Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n--x\r\n'
    for start in ['', head, head + form] * 60:
        connection = socket.create_connection(('127.0.0.1', server.port), 20, ('127.0.0.2', 0))
        with contextlib.suppress(OSError):
            connection.sendall(start.encode())
        taken.append(connection)
    with httpx.Client(transport=httpx.HTTPTransport(local_address='127.0.0.3'), timeout=60) as other:
        assert other.get(server.url).status_code == 200
        assert other.post(f'{server.url}api/predict', files=files_of(images)).status_code == 200
    open_ = psutil.Process(server.process.pid).net_connections('tcp')
    n_open = sum(c.status == 'ESTABLISHED' for c in open_)
    assert n_open <= MAX_CONNECTIONS + 5
    for connection in taken:
        connection.close()


@pytest.mark.slow
def test_a_killed_server_leaves_nothing_after_the_next_start(request: Request, tmp_path: Path) -> None:
    bundle, images = (request.getfixturevalue(name) for name in ('bundle', 'exam'))
    (tmp_path / 'one').mkdir()
    with serving(bundle, tmp_path / 'one') as found, ThreadPoolExecutor(1) as pool:
        pool.submit(httpx.post, f'{found.url}api/predict', files=files_of(images), timeout=60)
        assert wait_for(lambda: left(found.scratch))
        found.process.kill()
        found.process.wait()
        assert left(found.scratch)
        with scratch_of(found.scratch):
            assert left(found.scratch) == []


@contextlib.contextmanager
def scratch_of(folder: Path) -> Iterator[None]:
    """What a start does in that folder of temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, 'tempdir', str(folder))
        with scratch():
            yield


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_server_takes_its_folder_away(request: Request, tmp_path: Path, number: int) -> None:
    with serving(request.getfixturevalue('bundle'), tmp_path) as found:
        httpx.get(f'{found.url}health', timeout=60)  # its start is done
        assert list(found.scratch.glob(f'{PREFIX}*'))
        found.process.send_signal(number)
        found.process.wait(30)
        assert not list(found.scratch.glob(f'{PREFIX}*'))


@pytest.mark.slow
def test_a_client_that_leaves_leaves_nothing_behind(server: Server, request: Request) -> None:
    images = request.getfixturevalue('exam')
    whole = httpx.Request('POST', f'{server.url}predict', files=files_of(images))
    body = whole.read()
    lines = [f'{key}: {value}' for key, value in whole.headers.items()]
    head = ('POST /predict HTTP/1.1\r\n' + '\r\n'.join(lines) + '\r\n\r\n').encode()
    for part in (len(body) // 2, len(body)):  # in the middle of the upload, and while it is computed
        with socket.create_connection(('127.0.0.1', server.port), timeout=20) as connection:
            connection.sendall(head + body[:part])
            time.sleep(0.2)
    answer = httpx.post(f'{server.url}api/predict', files=files_of(images), timeout=60)  # its turn comes last
    assert answer.status_code == 200
    assert wait_for(lambda: not left(server.scratch))


@pytest.mark.slow
def test_the_log_names_nobody(server: Server, request: Request) -> None:
    path = request.getfixturevalue('films')(
        name='Doe_Jane_L_CC.dcm', PatientName='Doe^Jane', PatientBirthDate='1951123x'
    )
    broken = ('images', ('Doe.dcm', path.read_bytes()[:-900]))
    for files in (files_of([path]), [broken]):
        url = f'{server.url}predict?name=Doe'
        assert httpx.post(url, files=files, timeout=60, follow_redirects=True).status_code in (200, 422)
    text = server.log.read_text()
    assert 'POST /predict 303' in text
    assert 'Doe' not in text
    assert '1951' not in text


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly_and_completes_what_is_computed(request: Request, tmp_path: Path) -> None:
    bundle, images = (request.getfixturevalue(name) for name in ('bundle', 'exam'))
    with serving(bundle, tmp_path, '--host', '0.0.0.0', '--allow-host', 'ward.example') as found:
        warning = 'warning: 0.0.0.0 is reached from other computers, and there is no password'
        assert warning in found.log.read_text()
        url = f'http://127.0.0.1:{found.port}'
        for host, status in (('ward.example', 200), ('127.0.0.1', 200), ('evil.example', 421)):
            assert httpx.get(f'{url}/health', headers=dict(host=host)).status_code == status
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpx.post, f'{url}/api/predict', files=files_of(images), timeout=60)
            assert wait_for(lambda: left(found.scratch))
            found.process.send_signal(signal.SIGINT)
            assert answer.result().status_code == 200
        assert found.process.wait(30) == 0
        assert 'Traceback' not in found.log.read_text()
        assert list(found.scratch.iterdir()) == []
