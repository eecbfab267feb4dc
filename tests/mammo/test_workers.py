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

from mammo.workers import SchedulerError, WorkerDiedError, each

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


def test_a_scheduler_that_is_away_is_one_message_with_its_address():
    said: list[str] = []
    calls = each(square, [1], scheduler='tcp://127.0.0.1:9', warn=said.append)
    with pytest.raises(SchedulerError, match=r'tcp://127\.0\.0\.1:9: cannot be reached'):
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
        while len(psutil.Process(process.pid).children(recursive=True)) < 3 and time.time() < deadline:
            time.sleep(0.2)  # two workers, and the process that cleans up after them
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


@pytest.mark.slow
def test_a_second_account_cannot_reach_the_workers_of_the_first(tmp_path):
    """Two accounts without rights: the pipes and processes of one are closed to the other."""
    if os.getuid() != 0 or not shutil.which('setpriv'):
        pytest.skip('needs root and setpriv to act as two accounts')
    python = os.path.realpath(sys.executable)
    if subprocess.run(
        ['setpriv', '--reuid=12001', '--clear-groups', python, '-c', ''], check=False
    ).returncode:
        pytest.skip('the interpreter cannot be used by other accounts')
    shutil.copytree(ROOT / 'mammo', tmp_path / 'project/mammo', ignore=shutil.ignore_patterns('__pycache__'))
    (tmp_path / 'project/busy.py').write_text(CODE.format(root=str(tmp_path / 'project')))
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)

    def as_user(number: int, *command: object) -> subprocess.Popen:
        user = ['setpriv', f'--reuid={number}', f'--regid={number}', '--clear-groups']
        path = os.pathsep.join(map(str, sys.path[1:]))
        environment = os.environ | {'PYTHONPATH': path, 'HOME': '/nonexistent'}
        pipe = subprocess.PIPE
        return subprocess.Popen([*user, python, *map(str, command)], env=environment, stdout=pipe, text=True)

    first = as_user(12001, tmp_path / 'project/busy.py')
    deadline = time.time() + 30
    while len(workers := psutil.Process(first.pid).children(recursive=True)) < 3 and time.time() < deadline:
        time.sleep(0.2)
    assert len(workers) >= 3
    pids = [first.pid, *(worker.pid for worker in workers)]
    second = as_user(12002, '-c', PROBE, *pids)
    assert second.communicate(timeout=30)[0] == '12002 []\n'
    for pid in pids:
        assert not [c for c in psutil.Process(pid).net_connections('all') if c.laddr]
    assert first.communicate(timeout=60)[0] == '[None, None]\n'
