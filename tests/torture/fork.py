"""Runs this project's commands in forks of one process, which has imported everything once.

command line -> process; process -> exit code and what it wrote
"""

import contextlib
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(command: list[str], log: Path, **environment: str) -> int:
    """Start ``script argument ...`` -> process id; the process leads a group of its own."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:  # the child, which never returns
        os.setpgid(0, 0)
        os.environ |= environment
        handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(handle, stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, 'w', buffering=1, closefd=False) for stream in (1, 2))
        sys.argv = [str(ROOT / command[0]), *command[1:]]
        runpy.run_path(sys.argv[0], run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def finish(pid: int) -> int:
    """Wait for a process -> its exit code, minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(command: list[str], log: Path, **environment: str) -> tuple[int, str]:
    """Run a command to its end -> exit code, output."""
    code = finish(start(command, log, **environment))
    return code, log.read_text(errors='replace')


def ended(pid: int) -> bool:
    """Whether a process has ended; it can still be asked for its exit code."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill(pid: int) -> None:
    """SIGKILL for the process alone: its dataloader workers notice by themselves, as after a real kill."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    finish(pid)
