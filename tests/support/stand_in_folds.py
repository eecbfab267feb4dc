"""Folds whose child is a stand-in that obeys a script, and waiting for their engines."""

import time
from collections.abc import Callable
from pathlib import Path

from mammo.crossval.jobs.engines import Engine

STAND_IN = """
import json, os, pathlib, sys, time
spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
folder = pathlib.Path(spec['folder'])
with (folder / 'calls').open('a') as calls:
    print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('OMP_NUM_THREADS'), file=calls)
n_calls = len((folder / 'calls').read_text().splitlines())
behaviour = spec['behaviour'][min(n_calls, len(spec['behaviour'])) - 1]
print('I', behaviour)
if behaviour == 'sleep':
    time.sleep(60)
if behaviour == 'fail':
    sys.exit(2)
(folder / 'fold.json').write_text(json.dumps(dict(done=spec['wanted'])))
"""


def calls(spec: dict) -> list[str]:
    """A line per child that this fold had: its device and threads."""
    return (Path(spec['folder']) / 'calls').read_text().splitlines()


def wait(engine: Engine, limit_s: float = 60) -> None:
    until(lambda: not engine.running(), limit_s)


def until(condition: Callable[[], object], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, 'took too long'
        time.sleep(0.05)
