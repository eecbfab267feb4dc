"""Many calls in other processes: same results, no port, and a death costs one item."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mammo.errors import UserError
from mammo.workers import WorkerDiedError, each

ROOT = Path(__file__).parents[2]


def square(number: int) -> int:
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_one_process_works_in_order():
    assert list(each(square, range(5))) == [(i, i * i) for i in range(5)]


def test_processes_give_the_same_results_and_a_death_costs_one_item():
    results = dict(each(square, range(20), workers=2))
    assert isinstance(results.pop(13), WorkerDiedError)
    assert results == {i: i * i for i in range(20) if i != 13}


def test_a_scheduler_that_is_away_is_one_message_with_its_address(monkeypatch):
    monkeypatch.setattr('mammo.workers.TIMEOUT_S', 1)
    said: list[str] = []
    calls = each(square, [1], scheduler='tcp://127.0.0.1:9', warn=said.append)
    with pytest.raises(UserError, match=r'tcp://127\.0\.0\.1:9: no Dask scheduler answers there'):
        list(calls)
    assert said == [
        'tcp://127.0.0.1:9 has no TLS: whoever reaches it can run code as you, and read what is sent'
    ]


CODE = (
    'import sys, time; sys.path.insert(0, {root!r})\n'
    'from mammo.workers import each\n'
    'if __name__ == "__main__":\n'
    '    print([r for _, r in each(time.sleep, [12, 12], workers=2)], flush=True)\n'
)


@pytest.fixture
def busy(tmp_path):
    """A process with two workers that are at work, started as a user starts a tool."""
    (tmp_path / 'busy.py').write_text(CODE.format(root=str(ROOT)))
    command = [sys.executable, str(tmp_path / 'busy.py')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.time() + 60
        while len(psutil.Process(process.pid).children(recursive=True)) < 2 and time.time() < deadline:
            time.sleep(0.2)  # two workers
        yield process
        process.kill()


@pytest.mark.slow
def test_workers_open_no_socket_at_all(busy):
    family = [psutil.Process(busy.pid), *psutil.Process(busy.pid).children(recursive=True)]
    assert len(family) >= 3
    for process in family:
        assert not [c for c in process.net_connections('all') if c.status == psutil.CONN_LISTEN or c.laddr]


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_without_a_traceback_of_theirs(busy):
    os.kill(busy.pid, signal.SIGINT)
    for child in psutil.Process(busy.pid).children(recursive=True):
        child.send_signal(signal.SIGINT)  # as a terminal does
    text = busy.stderr.read()
    assert text.count('Traceback') == 1, text  # that of the script, which has no command() around it


PROBE = (
    'import os, sys\n'
    'def works(action):\n'
    '    try:\n'
    '        action()\n'
    '        return True\n'
    '    except (OSError, PermissionError):\n'
    '        return False\n'
    'pids = list(map(int, sys.argv[1:]))\n'
    'signalled = [p for p in pids if works(lambda: os.kill(p, 0))]\n'
    'reached = signalled + [p for p in pids if works(lambda: os.listdir(f"/proc/{p}/fd"))]\n'
    'print(os.getuid(), reached)\n'
)


AS_ACCOUNT = ('setpriv', '--clear-groups', '--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all')


def _pids_of(account: int) -> list[int]:
    return [process.pid for process in psutil.process_iter() if process.uids().real == account]


def _python_of_all() -> str:
    """An interpreter that other accounts may start; the workers need nothing but its standard library."""
    again = 'import subprocess, sys; assert sys.version_info >= (3, 11); '
    needs = again + 'subprocess.run([sys.executable, "-c", ""], check=True)'
    for python in (os.path.realpath(sys.executable), '/usr/bin/python3'):
        command = [*AS_ACCOUNT, '--reuid=12001', '--regid=12001', python, '-c', needs]
        if subprocess.run(command, check=False, capture_output=True, cwd='/').returncode == 0:
            return python
    pytest.skip('no interpreter that other accounts can use')


@pytest.mark.slow
def test_a_second_account_cannot_reach_the_workers_of_the_first(tmp_path):
    """Two accounts without rights: the pipes and processes of one are closed to the other."""
    if os.getuid() != 0 or not shutil.which('setpriv'):
        pytest.skip('needs root and setpriv to act as two accounts')
    python = _python_of_all()
    shutil.copytree(ROOT / 'mammo', tmp_path / 'project/mammo', ignore=shutil.ignore_patterns('__pycache__'))
    (tmp_path / 'project/busy.py').write_text(CODE.format(root=str(tmp_path / 'project')))
    for path in (*tmp_path.rglob('*'), tmp_path, *tmp_path.parents[:2]):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))

    def as_user(number: int, *command: object) -> subprocess.Popen:
        user = [*AS_ACCOUNT, f'--reuid={number}', f'--regid={number}']
        pipe, clean = subprocess.PIPE, {'PATH': '/usr/bin:/bin', 'PYTHONDONTWRITEBYTECODE': '1'}
        return subprocess.Popen(
            [*user, python, *map(str, command)], env=clean, stdout=pipe, text=True, cwd='/'
        )

    first = as_user(12001, tmp_path / 'project/busy.py')
    deadline = time.time() + 60
    while len(pids := _pids_of(12001)) < 3 and first.poll() is None and time.time() < deadline:
        time.sleep(0.2)
    assert len(pids) >= 3, (first.poll(), first.stdout.read() if first.poll() is not None else '')
    second = as_user(12002, '-c', PROBE, *pids)
    assert second.communicate(timeout=30)[0] == '12002 []\n'
    for pid in pids:
        assert not [c for c in psutil.Process(pid).net_connections('all') if c.laddr]
    assert first.communicate(timeout=60)[0] == '[None, None]\n'
