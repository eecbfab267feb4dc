"""The tutorial is the truth: its commands run in the order in which they stand, in a folder with a blank."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r'^```(bash|python title="(?P<title>[^"]+)")\n(?P<text>.*?)^```', re.M | re.S)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder from which the project is seen as from its root."""
    folder = tmp_path / 'a folder'
    folder.mkdir()
    for name in ('tools', 'configs'):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.slow
def test_commands_of_the_tutorial_run_in_their_order(place: Path) -> None:
    tutorial = (ROOT / 'docs/tutorial.md').read_text(encoding='utf-8')
    environment = os.environ | dict(
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}', OMP_NUM_THREADS='1'
    )
    for block in BLOCK.finditer(tutorial):
        if block['title']:
            (place / block['title']).write_text(block['text'], encoding='utf-8')
            continue
        for line in block['text'].splitlines():
            run = subprocess.run(
                ['bash', '-c', line], cwd=place, env=environment, capture_output=True, text=True
            )
            assert run.returncode == 0, f'{line}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}'
    assert (place / 'my study/cv/report/report.html').is_file()
    assert (place / 'my study/answer/prediction.json').is_file()
