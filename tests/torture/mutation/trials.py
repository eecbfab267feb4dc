"""Runs the tests of a module with one fault at a time, each in a fork of one process that has collected them.

Faults, files of tests -> for each fault what became of it
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

from tests.torture.mutation.faulty import Faults

NOTICED, UNNOTICED, UNREACHED, STOPPED = (
    'noticed',
    'unnoticed',
    'unreached',
    'stopped',
)  # stopped: over its time
OPTIONS = ['-q', '-m', 'not slow', '-p', 'no:xdist', '-p', 'no:randomly', '--no-header', '--no-summary',
           '-o', 'tmp_path_retention_policy=none']  # fmt: skip


class Trials:
    """A plugin of pytest that runs the collected tests in its own way."""

    def __init__(self, faults: Faults, names: list[str], report: Callable[[str, str], None]) -> None:
        self.faults, self.names, self.report = faults, names, report

    def run(self, tests: list[str]) -> None:
        """Tries every fault; the report gets each result as it comes."""
        self.faults.install()
        with tempfile.TemporaryDirectory(prefix='mutation') as folder:
            self.folder = Path(folder) / 'tests'
            code = pytest.main([*OPTIONS, f'--basetemp={self.folder}', *tests], plugins=[self])
        if code:
            raise RuntimeError(f'{self.faults.path}: the tests of it did not pass without a fault ({code})')

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed('errors while tests were collected')
        seconds, reached = self._sound(session)
        for name in self.names:
            function = self.faults.function(name)
            nodes = sorted(
                (node for node, functions in reached.items() if function in functions), key=seconds.get
            )
            limit = 10 + 5 * sum(seconds[node] for node in nodes)
            self.report(name, self._tried(session, name, nodes, limit) if nodes else UNREACHED)
        return True

    def _sound(self, session: pytest.Session) -> tuple[dict[str, float], dict[str, list[str]]]:
        """Without a fault: CPU seconds of each test, and which functions of the module it reaches."""
        self.folder.parent.mkdir(exist_ok=True)
        path = self.folder.parent / 'sound.json'
        status = _forked(
            lambda: path.write_text(json.dumps(list(_runs(session, session.items, 'stats')))), 900
        )
        runs = json.loads(path.read_text()) if path.exists() else []
        failed = [node for node, _, _, passed in runs if not passed]
        if failed or status:
            raise session.Failed(f'without a fault: {failed or status}')
        return {node: cpu for node, cpu, _, _ in runs}, {node: functions for node, _, functions, _ in runs}

    def _tried(self, session: pytest.Session, name: str, nodes: list[str], limit: float) -> str:
        by_node = {item.nodeid: item for item in session.items}
        items = [by_node[node] for node in nodes]

        def noticed() -> None:
            for _, _, _, passed in _runs(session, items, f'{self.faults.module}.{name}'):
                if not passed:
                    os._exit(1)

        status = _forked(noticed, limit)
        shutil.rmtree(self.folder, ignore_errors=True)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM):
            return STOPPED
        return NOTICED if status else UNNOTICED


def _runs(
    session: pytest.Session, items: list[pytest.Item], fault: str
) -> Iterator[tuple[str, float, list[str], bool]]:
    """Each test, its CPU seconds, the functions of the module that it called, whether it passed."""
    set_mutant_under_test(fault)
    for item, following in zip(items, [*items[1:], None], strict=True):
        state()._stats.clear()
        before, started = session.testsfailed, time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        yield (
            item.nodeid,
            time.process_time() - started,
            sorted(state()._stats),
            session.testsfailed == before,
        )


def _forked(work: Callable[[], object], limit_s: float) -> int:
    """Does the work in a fork, in a group of its own, which ends with it -> status of waitpid.

    The limit is of CPU; one that only waits has ten times as long.
    """
    child = os.fork()
    if not child:
        os.setsid()
        used = int(time.process_time() + limit_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used, used + 1))
        signal.alarm(int(10 * limit_s))
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return status
