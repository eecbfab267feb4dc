"""What every tool's main runs in."""

import errno
import os
import sys
import types

import pytest

from mammo.command import command, one_line_errors, tool_parser
from mammo.errors import Exit, UserError


def test_user_error_ends_as_one_line_and_its_exit_code(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise UserError('a.json: item 3')
    assert end.value.code == Exit.BAD_INPUT
    assert capsys.readouterr().err == 'error: a.json: item 3\n'


def test_unwritable_folder_ends_as_one_line_with_its_name(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        os.mkdir('/proc/none')
    assert end.value.code == Exit.BAD_INPUT
    assert capsys.readouterr().err.startswith('error: /proc/none: ')


def test_full_disk_behind_the_error_of_a_library_ends_as_one_line(capsys: pytest.CaptureFixture) -> None:
    of_system = OSError(errno.ENOSPC, 'No space left on device')
    with pytest.raises(SystemExit) as end, one_line_errors('--resume goes on'):
        raise OSError('With tag (7FE0,0010) got exception') from of_system
    assert end.value.code == Exit.NOTHING_MADE
    message = 'free some space or choose another folder; --resume goes on'
    assert capsys.readouterr().err == f'error: cannot write: No space left on device; {message}\n'


def test_ctrl_c_ends_as_one_line_that_says_how_to_go_on(capsys: pytest.CaptureFixture) -> None:
    @command(go_on='--resume goes on from here')
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == Exit.INTERRUPTED
    assert capsys.readouterr().err == 'stopped; --resume goes on from here\n'


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        _ = 1 / 0


def test_code_that_main_returns_is_the_exit_code() -> None:
    with pytest.raises(SystemExit) as end:
        command()(lambda: 1)()
    assert end.value.code == 1


def test_main_that_is_done_returns() -> None:
    assert command()(lambda: None)() is None


def test_that_the_second_value_of_an_option_replaces_the_first_is_said(capsys: pytest.CaptureFixture) -> None:
    parser = tool_parser('Doc.')
    parser.add_argument('table')
    parser.add_argument('--labels')
    parser.add_argument('--stratify', action='append')
    parser.add_argument('--resume', nargs='?')
    repeated = [
        '--labels',
        'a',
        '--labels',
        'a',
        '--stratify',
        'x',
        '--stratify',
        'y',
        '--resume',
        'c',
        '--resume',
    ]
    assert parser.parse_args(['t', *repeated]).labels == 'a'
    assert parser.parse_args(['t', '--labels', 'b']).labels == 'b'
    assert capsys.readouterr().err == ''
    assert parser.parse_args(['t', '--labels', 'a', '--label', 'b']).labels == 'b'
    assert capsys.readouterr().err == 'warning: --labels is given twice; b is taken, not a\n'


def test_help_shows_defaults_that_say_something(capsys: pytest.CaptureFixture) -> None:
    parser = tool_parser('Tool.', 'tool.py --size 5')
    parser.add_argument('--size', type=int, default=3, help='pixels')
    parser.add_argument('--seed', type=int, default=0, help='of chance')
    parser.add_argument('--strict', action='store_true', help='refuse')
    parser.print_help()
    text = capsys.readouterr().out
    assert 'pixels (default: 3)' in text
    assert 'of chance (default: 0)' in text
    assert 'refuse (' not in text
    assert 'example: tool.py --size 5' in text


def test_a_shell_that_asks_gets_its_completions_before_anything_is_parsed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = []
    fake = types.SimpleNamespace(autocomplete=lambda parser: asked.append(parser) or sys.exit(0))
    monkeypatch.setitem(sys.modules, 'argcomplete', fake)
    parser = tool_parser('Does it.', loads='PyTorch')
    parser.add_argument('--needed', required=True)
    monkeypatch.setenv('_ARGCOMPLETE', '1')
    with pytest.raises(SystemExit) as end:
        parser.parse_args([])
    assert (asked, end.value.code) == ([parser], 0)
    assert capsys.readouterr() == ('', '')
    monkeypatch.delenv('_ARGCOMPLETE')
    assert parser.parse_args(['--needed', '1']).needed == '1'
    assert len(asked) == 1
