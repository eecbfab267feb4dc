"""The study of the three claims on phantoms: its commands, and the tables that it makes of reports."""

import argparse
import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.studies import phantom_claims as study
from benchmarks.studies.steps import run

ARGS = argparse.Namespace(patients=1600, unlabelled=300, devices=1, folds='0/0,0/1,1/0,1/1')


def report(path: Path, value: float) -> None:
    estimate = dict(value=value, ci_low=value - 0.04, ci_high=value + 0.04)
    other = dict(value=0.7, ci_low=0.66, ci_high=0.74)
    delta = dict(value=value - 0.7, ci_low=value - 0.73, ci_high=value - 0.67)
    path.parent.mkdir(parents=True)
    models = {name: dict(n_patients=700, roc_auc=row) for name, row in dict(a=estimate, b=other).items()}
    path.write_text(json.dumps(dict(models=models, comparisons=[dict(delta_roc_auc=delta)])))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A study of which one comparison is there."""
    (tmp_path / 'dicom').mkdir()
    best = dict(N_roc_auc=dict(clinical=0.712, image=0.79, both=0.85))
    (tmp_path / 'dicom/truth.json').write_text(json.dumps(dict(best=best)))
    _, one, other = study.COMPARISONS[0]
    report(study.report_step(tmp_path, one, other).done, 0.75)
    return tmp_path


def test_table_has_a_row_per_comparison_with_paired_interval_and_tells_what_was_not_run(out: Path) -> None:
    first, *others = list(study.rows(out))[2 : 2 + len(study.COMPARISONS)]
    assert '| 700 | 0.750 (0.710 to 0.790) | 0.700 (0.660 to 0.740) | +0.050 (+0.020 to +0.080) |' in first
    assert len(others) == len(study.COMPARISONS) - 1
    assert all('not run' in row for row in others)


def test_page_keeps_what_stands_around_its_table(out: Path, tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text('\n'.join(['# Before', *study.MARKS, 'After', '']))
    for _ in range(2):
        study.write_page(page, study.MARKS, list(study.rows(out)))
    text = page.read_text()
    assert text.startswith('# Before\n')
    assert text.endswith('\nAfter\n')
    assert text.count('0.750') == 1


def test_a_step_whose_result_is_there_does_not_run_again(out: Path, monkeypatch) -> None:
    ran: list = []
    monkeypatch.setattr(subprocess, 'run', lambda command, **_: ran.append(command))
    _, one, other = study.COMPARISONS[0]
    run([study.report_step(out, one, other)])
    assert not ran
    run([study.arm_step(out, study.TUNED_ARM, ARGS)])
    assert len(ran) == 1


def test_arms_differ_in_what_their_names_say(tmp_path: Path) -> None:
    commands = {name: study.arm_step(tmp_path, name, ARGS).arguments for name in study.ARMS}
    for name, command in commands.items():
        assert ('model.backbone.init_cfg=None' in command) == ('random' in name)
        assert ('model.backbone.frozen_stages=4' in command) == name.startswith('frozen')
        assert ('--cache' in command) == name.startswith('frozen')
        assert command[command.index('--only') + 1] == ARGS.folds
        assert any('gap' in part for part in command[:2]) == name.endswith('GAP')
        assert ('--with-fusion' in command) == (name in study.FUSED_ARMS)
        assert Path(study.ROOT / command[1]).is_file()


def test_every_arm_of_a_comparison_is_run_and_fused_where_its_fusion_is_compared() -> None:
    for _, *pair in study.COMPARISONS:
        for name in pair:
            arm, _, model = name.partition(': ')
            assert arm in (study.FUSED_ARMS if model else study.ARMS)


def test_the_page_has_the_marks() -> None:
    assert [study.PAGE.read_text().count(mark) for mark in study.MARKS] == [1, 1]
