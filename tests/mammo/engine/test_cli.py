"""Options that the commands share, and errors as one message."""

import argparse
import io
from pathlib import Path

import pytest

from mammo.command import one_line_errors
from mammo.engine.loading.checkpoint import CheckpointError
from mammo.engine.run import load_config
from mammo.errors import DataError, UserError
from mammo.options import add_config_arguments
from mammo.records.meta import MetaError
from mammo.records.storage.png import ImageFileError

CONFIG = 'default_hooks = dict(data_check=dict(type="DataCheckHook", check_data=True))\n'


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv('LOCAL_RANK', '0')
    (tmp_path / 'own.py').write_text(CONFIG)
    return str(tmp_path / 'own.py')


@pytest.mark.parametrize('error_class', [MetaError, DataError, CheckpointError, ImageFileError])
def test_bad_input_ends_as_one_line_and_exit_code_2(
    error_class: type, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise error_class('a.json: item 3')
    assert end.value.code == 2
    assert capsys.readouterr().err == 'error: a.json: item 3\n'


def test_error_of_another_process_names_it(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('RANK', '2')
    with pytest.raises(SystemExit), one_line_errors():
        raise CheckpointError('a.pth: damaged')
    assert capsys.readouterr().err == 'error: process 2: a.pth: damaged\n'


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        _ = 1 / 0


def test_missing_config_is_bad_input() -> None:
    with pytest.raises(UserError, match=r'none\.py: no such config'):
        load_config('none.py')


def test_work_dir_defaults_to_the_name_of_the_config(config: str, tmp_path: Path) -> None:
    assert load_config(config).work_dir == 'work_dirs/own'
    assert load_config(config, work_dir=tmp_path).work_dir == str(tmp_path)


def test_data_check_is_on_and_can_be_switched_off(config: str) -> None:
    assert load_config(config).default_hooks.data_check.check_data is True
    assert load_config(config, check_data=False).default_hooks.data_check.check_data is False
    assert parse('c.py', '--no-check-data').check_data is False


def test_cfg_options_of_several_places_add_up() -> None:
    args = parse('c.py', '--cfg-options', 'a.b=1', 'c=x y', '--cfg-options', 'd=2')
    assert args.cfg_options == ['a.b=1', 'c=x y', 'd=2']
    assert parse('c.py').cfg_options == []


def test_help_can_be_shown() -> None:
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    text = io.StringIO()
    parser.print_help(text)
    assert '--check-data' in text.getvalue()
