"""docs/cli.md names what the commands name; python docs/checks/cli.py writes it."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / 'docs/checks/cli.py'))
COMMANDS = SCRIPT['commands']()
PAGE = (ROOT / 'docs/cli.md').read_text(encoding='utf-8')
SECTIONS = dict(re.findall(r'^## (\S+)\n(.*?)(?=^## |\Z)', PAGE, re.M | re.S))


def test_every_command_has_a_section() -> None:
    assert sorted(SECTIONS) == sorted(COMMANDS)


@pytest.mark.parametrize('command', COMMANDS)
def test_section_names_every_option_and_default(command: str) -> None:
    def named(text: str) -> tuple[set[str], list[str]]:
        defaults = re.findall(r'\(default: ([^)]*)\)', re.sub(r'\s+', ' ', text))
        return set(re.findall(r'(?<![\w-])--[a-z][\w-]*', text)), defaults

    assert named(SCRIPT['help_of'](command)) == named(SECTIONS[command])
