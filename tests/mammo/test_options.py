"""Options that several tools share."""

import sys

import pytest

from tools import evaluate, make_bundle, update_bundle

NEEDED = {
    evaluate: ['--pred', 'a.csv', '--task', 'N', '--out-dir', 'out'],
    make_bundle: ['--cv', 'cv', '--out', 'bundle'],
    update_bundle: ['--bundle', 'b', '--batch', 'images.csv', '--labels', 'labels.csv', '--out', 'ours'],
}


@pytest.mark.parametrize('value', ['0', '1', '95', 'nan'])
@pytest.mark.parametrize('tool', NEEDED, ids=lambda tool: tool.__name__)
def test_a_confidence_that_is_none_is_a_usage_error(tool, value, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, 'argv', [tool.__name__, *NEEDED[tool], '--confidence', value])
    with pytest.raises(SystemExit) as end:
        tool.main()
    assert end.value.code == 2
    assert f'{value} is not between 0 and 1' in capsys.readouterr().err


@pytest.mark.parametrize('tool', NEEDED, ids=lambda tool: tool.__name__)
def test_a_sensitivity_in_percent_is_a_usage_error(tool, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, 'argv', [tool.__name__, *NEEDED[tool], '--sensitivity', '90'])
    with pytest.raises(SystemExit) as end:
        tool.main()
    assert end.value.code == 2
    assert '90 is not ' in capsys.readouterr().err
