"""A study file stands for commands; wrong fields are named before anything runs."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mammo.errors import UserError
from mammo.study import run as study_run
from mammo.study.form import read_study
from mammo.study.run import run_study
from mammo.study.stages import command_line, refuse_unknown_options, steps


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A study of files with a blank in their names."""
    monkeypatch.chdir(tmp_path)
    for name in ('my archive', 'config.py', 'labels.csv', 'schema.yaml', 'clinical.csv'):
        Path(name).touch()
    return dict(
        out='out', data='my archive', config='config.py', labels='labels.csv', tasks=['LNM', 'size_mm']
    )


def _write(content: dict[str, Any]) -> Path:
    path = Path('study.yaml')
    path.write_text(yaml.safe_dump(content), encoding='utf-8')
    return path


def _lines(content: dict[str, Any]) -> list[str]:
    return [command_line(step) for step in steps(read_study(_write(content)))]


def test_commands_are_those_that_one_would_type(content) -> None:
    lines = _lines(content | dict(variables=dict(schema='schema.yaml', table='clinical.csv')))
    assert lines == [
        "python tools/preprocess.py 'my archive' --labels labels.csv --out-dir out/data --resume",
        'python tools/split.py out/data/meta.json --outer 5 --inner 5 --stratify LNM --labelled-only',
        'python tools/cross_validate.py config.py --folds out/data/folds --work-dir out/cv '
        '--tasks LNM,size_mm --with-fusion schema.yaml --clinical clinical.csv '
        '--cfg-options randomness.seed=0',
        'python tools/make_bundle.py --cv out/cv --out out/bundle',
    ]


def test_seeds_have_a_cross_validation_each_and_the_bundle_is_of_the_first(content) -> None:
    lines = _lines(content | dict(seeds=[3, 4]))
    assert [line.split('--work-dir ')[1].split()[0] for line in lines if 'cross_val' in line] == [
        'out/cv_seed3',
        'out/cv_seed4',
    ]
    assert lines[-1] == 'python tools/make_bundle.py --cv out/cv_seed3 --out out/bundle'


def test_pretraining_hands_its_weights_and_its_patients_on(content) -> None:
    lines = _lines(content | dict(pretraining=dict(data='my archive', config='config.py')))
    assert (
        'python tools/extract_patches.py out/pretraining_data/meta.json --out-dir out/patches --resume'
        in lines
    )
    last = next(line for line in lines if 'cross_validate' in line)
    assert '--pretrain-list out/patches/list.txt' in last
    assert 'model.backbone.init_cfg.checkpoint=out/pretraining/backbone.pth' in last


def test_options_become_flags(content) -> None:
    options = dict(
        preprocess=dict(spacing_mm=0.1, strict=True, key_map=False), cross_validate=dict(only='0/0')
    )
    lines = _lines(content | dict(options=options))
    assert lines[0].endswith('--resume --spacing-mm 0.1 --strict')
    assert lines[2].endswith('--only 0/0')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(folds=dict(outer=1)), r'folds\.outer: .*greater than or equal to 2, found 1'),
        (dict(tasks='LNM'), r"tasks: .*valid list, found 'LNM'"),
        (dict(seeds=[]), r'seeds: .*at least 1 item'),
        (dict(seeds=[-1]), r'seeds\.0: .*greater than or equal to 0, found -1'),
        (dict(labels='none.csv'), r'labels: none\.csv does not exist'),
        (dict(fold=3), r'fold: Extra inputs are not permitted, found 3'),
        (dict(variables=dict(schema='schema.yaml')), r'variables\.table: Field required'),
    ],
)
def test_wrong_field_is_named_with_its_value(content, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf'study\.yaml: {message}'):
        read_study(_write(content | change))


@pytest.mark.parametrize('text', ['[1', '- a', ''])
def test_file_that_is_no_study_is_refused(content, text: str) -> None:
    path = _write(content)
    path.write_text(text)
    with pytest.raises(UserError, match=r'study\.yaml'):
        read_study(path)


def test_option_that_a_tool_does_not_have_is_refused_with_the_nearest(content) -> None:
    path = _write(content | dict(options=dict(split=dict(seeed=3))))
    with pytest.raises(UserError, match=r'options\.split\.seeed: .* has no --seeed, the nearest is --seed'):
        refuse_unknown_options(path, read_study(path))
    path = _write(content | dict(options=dict(train={})))
    with pytest.raises(UserError, match=r'options\.train: not among the tools of this study'):
        refuse_unknown_options(path, read_study(path))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tools that were run: they make what they are asked for, until one is called 'cross_validate'."""
    tools: list[str] = []

    def run(words: list[str], check: bool) -> subprocess.CompletedProcess:
        tool = Path(words[1]).stem
        tools.append(tool)
        made = dict(preprocess='data/meta.json', split='data/folds/split_report.json')
        if tool in made:
            path = Path('out', made[tool])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return subprocess.CompletedProcess(words, 0 if tool in made else 75)

    monkeypatch.setattr(study_run.subprocess, 'run', run)
    return tools


def test_failure_stops_with_its_code_and_the_next_run_leaves_out_what_is_done(content, ran) -> None:
    study = read_study(_write(content))
    assert run_study(study) == 75
    assert ran == ['preprocess', 'split', 'cross_validate']
    ran.clear()
    assert run_study(study) == 75
    assert ran == ['preprocess', 'cross_validate']  # the first sees itself that nothing is left to do
    record = json.loads(Path('out/study.json').read_text())
    assert shlex.join(record['out/data/folds/split_report.json']).startswith(
        'tools/split.py out/data/meta.json'
    )


def test_product_of_another_command_is_refused(content, ran) -> None:
    run_study(read_study(_write(content)))
    ran.clear()
    with pytest.raises(
        UserError, match=r'split_report.json: made by: tools/split.py .*\n.*asks for: .*--outer 3'
    ):
        run_study(read_study(_write(content | dict(folds=dict(outer=3)))))
    assert ran == []
