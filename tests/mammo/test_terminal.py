"""What the terminal shows: own lines and warnings on standard error, nothing of frameworks' daily work."""

import logging

import pytest
from mmengine.logging import MMLogger, print_log

from mammo.engine.log import use_terminal
from mammo.terminal import TERMINAL, duration, log_to_terminal, made


@pytest.fixture
def framework(tmp_path) -> MMLogger:
    """A logger as mmengine makes one for a run."""
    logger = MMLogger('test_terminal', log_file=str(tmp_path / 'run.log'))
    use_terminal(logger)
    return logger


def _log_as(module: str, logger: MMLogger, text: str, level: int = logging.INFO) -> None:
    """Log through print_log from code that belongs to a module."""
    code = compile('print_log(text, logger, level)', module, 'exec')
    exec(code, dict(__name__=module, print_log=print_log, text=text, logger=logger, level=level))


def test_own_lines_go_to_standard_error(framework, capsys) -> None:
    _log_as('mammo.engine.some', framework, 'epoch 1/2')
    assert capsys.readouterr() == ('', 'epoch 1/2\n')


def test_steps_of_the_framework_are_in_the_log_file_alone(framework, capsys, tmp_path) -> None:
    _log_as('mmengine.hooks.logger_hook', framework, 'Epoch(train) [1][10/20]')
    assert capsys.readouterr() == ('', '')
    assert 'Epoch(train) [1][10/20]' in (tmp_path / 'run.log').read_text()


def test_verbose_shows_what_the_log_file_holds(framework, capsys, monkeypatch) -> None:
    monkeypatch.setattr(TERMINAL, 'is_verbose', True)
    _log_as('mmengine.hooks.logger_hook', framework, 'Epoch(train) [1][10/20]')
    assert capsys.readouterr() == ('', 'Epoch(train) [1][10/20]\n')


def test_warning_of_the_framework_is_shown_once_with_its_level(framework, capsys) -> None:
    for _ in range(2):
        _log_as('mmengine.runner.runner', framework, 'the weights do not match', logging.WARNING)
    assert capsys.readouterr() == ('', 'warning: the weights do not match\n')


@pytest.mark.parametrize(
    'text', ['"FileClient" will be deprecated in future', 'a.weight is skipped since its requires_grad=False']
)
def test_warnings_of_the_framework_that_no_user_can_act_on_are_not_shown(text, framework, capsys) -> None:
    _log_as('mmengine.fileio', framework, text, logging.WARNING)
    assert capsys.readouterr() == ('', '')


def test_processes_other_than_the_first_say_errors_only(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr('mammo.engine.log.get_rank', lambda: 1)
    logger = MMLogger('test_rank', log_file=str(tmp_path / 'run.log'))
    use_terminal(logger)
    _log_as('mammo.engine.some', logger, 'epoch 1/2')
    _log_as('mammo.engine.some', logger, 'the training diverged', logging.ERROR)
    assert capsys.readouterr() == ('', 'the training diverged\n')


def test_library_logs_are_told_once_however_often_a_command_starts(capsys) -> None:
    log_to_terminal()
    log_to_terminal()
    logging.getLogger('mammo.records.ids').warning('ids look alike')
    assert capsys.readouterr().err == 'warning: ids look alike\n'


def test_last_line_has_a_command_that_can_be_pasted(capsys) -> None:
    made('my study', 'tools/split.py', 'my study/meta.json', '--stratify', 'TASK')
    line = "made my study; next: python tools/split.py 'my study/meta.json' --stratify TASK\n"
    assert capsys.readouterr() == ('', line)
    made('report.html')
    assert capsys.readouterr().err == 'made report.html\n'


@pytest.mark.parametrize(
    ('seconds', 'words'), [(0, '0 s'), (59.6, '1 min 00 s'), (3599, '59 min 59 s'), (3600, '1 h 00 min')]
)
def test_duration_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
