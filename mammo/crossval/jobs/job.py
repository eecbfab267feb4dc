"""One fold as a plain function, the same for local processes, SLURM tasks and Dask workers.

spec -> whether the fold is finished; its files lie in spec['folder']

``python -m mammo.crossval.jobs.job SPEC`` is a task of a SLURM job array.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from mammo.crossval.jobs.state import LOG, finished, read_json, write_state
from mammo.records.storage.files import write_json

SPEC = 'spec.json'
ROOT = Path(__file__).resolve().parents[3]
CHILD = (sys.executable, '-m', 'mammo.crossval.fold')
ATTEMPTS = 2
GRACE_S = 60  # a training that is told to stop may first save a checkpoint

_stopping = threading.Event()
_children: set[subprocess.Popen] = set()


def run_fold(spec: dict[str, Any], device: str | None = None) -> bool:
    """Run the steps of a fold in a child process, once more if it fails; never raises for a failed fold.

    Args:
        spec: see plan.py.
        device: what the child sees as CUDA_VISIBLE_DEVICES; None leaves the environment's.
    """
    folder = Path(spec['folder'])
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SPEC, spec)
    for attempt in range(1, ATTEMPTS + 1):
        if not finished(spec) and not _stopping.is_set():
            write_state(folder, 'starts' if attempt == 1 else 'starts again')
            code = _run_child(folder, spec, device)
            if code and not _stopping.is_set():
                write_state(folder, 'failed', exit_code=code)
    return finished(spec)


def stop_all() -> None:
    """End the children of this process, and start no other."""
    _stopping.set()
    for child in list(_children):
        child.terminate()


def _run_child(folder: Path, spec: dict[str, Any], device: str | None) -> int:
    env = os.environ | {name: str(spec['threads']) for name in ('OMP_NUM_THREADS',) if spec['threads']}
    if device is not None:
        env['CUDA_VISIBLE_DEVICES'] = device
    env['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), env.get('PYTHONPATH')]))
    command = [*CHILD, str(folder / SPEC)]
    with (folder / LOG).open('ab') as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=spec['cwd'], env=env,
            start_new_session=True,
        )  # fmt: skip
    _children.add(child)
    if _stopping.is_set():
        child.terminate()
    try:
        return child.wait()
    finally:  # also when this process is told to end
        _end(child)
        _children.discard(child)


def _end(child: subprocess.Popen) -> None:
    """Ask the child to end, then make sure that neither it nor its dataloader workers live on."""
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert child.stdin is not None
    child.stdin.close()


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(not run_fold(read_json(Path(sys.argv[1]))))
