"""The study of several views: its commands, and the table that it makes of reports."""

import json
from pathlib import Path

import pytest

from benchmarks.studies import multi_view as study


def test_arms_differ_in_config_and_training_images_only(tmp_path: Path) -> None:
    commands = [study.arm_step(tmp_path, name, tmp_path / 'net.pth').arguments for name in study.ARMS]
    differing = {i for i in range(len(commands[0])) if len({command[i] for command in commands}) > 1}
    assert {commands[0][i - 1] for i in differing} == {'tools/cross_validate.py', '--folds', '--work-dir'}
    assert all((study.ROOT / command[1]).is_file() for command in commands)


@pytest.mark.parametrize('turned', [False, True])
def test_differences_are_against_the_maximum_whichever_way_the_report_has_them(
    turned: bool, tmp_path: Path
) -> None:
    (tmp_path / 'dicom').mkdir()
    best = {f'{task}_roc_auc': dict(image=0.9) for task in study.TASKS}
    (tmp_path / 'dicom/truth.json').write_text(json.dumps(dict(best=best)))
    auc = dict(value=0.7, ci_low=0.6, ci_high=0.8)
    delta = dict(value=-0.1, ci_low=-0.15, ci_high=0.2) if turned else dict(value=0.1, ci_low=-0.2, ci_high=0.15)  # fmt: skip  # noqa: E501
    first, second, _ = study.ARMS
    pair = (first, second) if turned else (second, first)
    report = dict(models={name: dict(n_patients=9, roc_auc=auc) for name in study.ARMS},
                  comparisons=[dict(a=pair[0], b=pair[1], delta_roc_auc=delta)])  # fmt: skip
    for task in study.TASKS:
        path = study.report_step(tmp_path, task).done
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(report))
    row = next(row for row in study.rows(tmp_path) if row.startswith(f'| multifocality | {second}'))
    assert '| 9 | 0.700 (0.600 to 0.800) | +0.100 (-0.200 to +0.150) | 0.900 |' in row


def test_the_page_has_the_marks() -> None:
    assert [study.PAGE.read_text().count(mark) for mark in study.MARKS] == [1, 1]
