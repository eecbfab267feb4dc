"""Every command answers --help and a wrong option without loading what it would work with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [*sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'tools').rglob('*.py')), 'mlp.py']
HEAVY = ('torch', 'mmengine', 'mmcv', 'mmpretrain', 'pandas', 'scipy', 'sklearn', 'cv2', 'matplotlib', 'dask')
KNOCK = """
import argparse, contextlib, io, json, runpy, sys
heavy = sys.argv[2:]
parsers, parse = [], argparse.ArgumentParser.parse_known_args
def note(self, *args, **kwargs):
    parsers.append(self)
    return parse(self, *args, **kwargs)
argparse.ArgumentParser.parse_known_args = note
tool, found = sys.argv[1], {}
for name, option in dict(help='--help', usage='--no-such-option').items():
    sys.argv, out, err = [tool, option], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(tool, run_name='__main__')
        except SystemExit as end:
            found[name] = dict(code=end.code, out=out.getvalue(), err=err.getvalue())
actions = [a for a in parsers[0]._actions if a.help != argparse.SUPPRESS]
found['without_help'] = [a.dest for a in actions if not a.help]
found['defaults'] = {a.dest: str(a.default) for a in actions
                     if a.default not in (None, '', [], argparse.SUPPRESS) and a.default is not False}
found['heavy'] = sorted(set(sys.modules) & set(heavy))
print(json.dumps(found))
"""


@pytest.mark.parametrize('tool', TOOLS)
def test_shells_are_told_that_they_may_ask_for_completions(tool: str) -> None:
    assert 'PYTHON_ARGCOMPLETE_OK' in (ROOT / tool).read_text(encoding='utf-8')[:1024]


@pytest.mark.parametrize('tool', TOOLS)
def test_door_opens_quickly_and_says_everything(tool: str) -> None:
    ended = subprocess.run(
        [sys.executable, '-c', KNOCK, tool, *HEAVY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(ended.stdout)
    assert not found['heavy'], 'loaded before the arguments are known'
    assert found['help']['code'] in (0, None)
    assert (found['usage']['code'], found['usage']['out']) == (2, '')
    assert 'usage: ' in found['usage']['err']
    assert not found['without_help']
    shown = ' '.join(found['help']['out'].split())
    missing = [name for name, value in found['defaults'].items() if f'(default: {value})' not in shown]
    assert not missing, 'defaults that the help does not show'
    assert '--version' in shown
    assert 'example: ' in shown
