"""The stages of a study, as the commands that one would type.

Study -> steps: a command of tools/ each, and the file that tells that it is done
"""

import difflib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mammo.errors import UserError
from mammo.study.form import Options, Pretraining, Study

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


class Step(NamedTuple):
    """One command, and the file that tells that it is done."""

    name: str
    words: list[str]  # tool and arguments
    product: Path
    goes_on: bool = False  # the tool itself goes on where it was stopped, and sees when it is done


def steps(study: Study) -> Iterator[Step]:
    """The commands of a study in their order."""
    yield from _data(study)
    if study.pretraining:
        yield from _pretraining(study, study.pretraining)
    several = len(study.seeds) > 1
    runs = {seed: study.out / (f'cv_seed{seed}' if several else 'cv') for seed in study.seeds}
    for seed, run in runs.items():
        words = _cross_validation(study, run, seed)
        report = run / 'report/report.json'
        yield _step(study, 'cross_validate', words, report, goes_on=True, name=f'cross-validation {run.name}')
    words = ['--cv', runs[study.seeds[0]], '--out', study.out / 'bundle']
    yield _step(study, 'make_bundle', words, study.out / 'bundle/manifest.json')


def _data(study: Study) -> Iterator[Step]:
    data, folds = study.out / 'data', study.folds
    labels = ['--labels', study.labels] if study.labels else []
    words = [study.data, *labels, '--out-dir', data, '--resume']
    yield _step(study, 'preprocess', words, data / 'meta.json', goes_on=True)
    split = [data / 'meta.json', '--outer', folds.outer, '--inner', folds.inner]
    for name in study.tasks[:1] if folds.stratify is None else folds.stratify:
        split += ['--stratify', name]
    split += ['--labelled-only'] if folds.labelled_only else []
    yield _step(study, 'split', split, data / 'folds/split_report.json')


def _pretraining(study: Study, asked: Pretraining) -> Iterator[Step]:
    images, patches, run = (study.out / name for name in ('pretraining_data', 'patches', 'pretraining'))
    words = [asked.data, '--out-dir', images, '--resume']
    yield _step(study, 'preprocess', words, images / 'meta.json', goes_on=True, name='images to pretrain on')
    words = [images / 'meta.json', '--out-dir', patches, '--resume']
    yield _step(study, 'extract_patches', words, patches / 'list.txt', goes_on=True)
    words = [asked.config, '--work-dir', run, '--resume', '--cfg-options', f'data_root={patches}/']
    yield _step(study, 'train', words, run / 'backbone.pth', goes_on=True)


def _cross_validation(study: Study, run: Path, seed: int) -> list[Any]:
    words = [study.config, '--folds', study.out / 'data/folds', '--work-dir', run]
    words += ['--tasks', ','.join(study.tasks)] if study.tasks else []
    if study.variables:
        words += ['--with-fusion', study.variables.schema_file, '--clinical', study.variables.table]
    settings = [f'randomness.seed={seed}']
    if study.pretraining:
        words += ['--pretrain-list', study.out / 'patches/list.txt']
        settings += [f'model.backbone.init_cfg.checkpoint={study.out / "pretraining/backbone.pth"}']
    return [*words, '--cfg-options', *settings]


def command_line(step: Step) -> str:
    """A step as one would type it in the root of the project."""
    return f'python {shlex.join(step.words)}'


def refuse_unknown_options(path: Path, study: Study) -> None:
    """See that tools and their options exist, before hours of work that ends with a usage."""
    tools = {Path(step.words[0]).stem for step in steps(study)}
    for tool, options in study.options.items():
        if tool not in tools:
            raise UserError(
                f'{path}: options.{tool}: not among the tools of this study: {", ".join(sorted(tools))}'
            )
        completed = subprocess.run(
            [sys.executable, str(TOOLS / f'{tool}.py'), '--help'], capture_output=True, text=True
        )
        there = sorted(
            {word.strip('[],') for word in completed.stdout.split() if word.strip('[],').startswith('--')}
        )
        for name in options:
            flag = f'--{name.replace("_", "-")}'
            if flag not in there:
                near = difflib.get_close_matches(flag, there, n=1)
                raise UserError(f'{path}: options.{tool}.{name}: tools/{tool}.py has no {flag}'
                                 + (f', the nearest is {near[0]}' if near else ''))  # fmt: skip


def _step(
    study: Study, tool: str, words: list[Any], product: Path, *, goes_on: bool = False, name: str = ''
) -> Step:
    options = [*_flags(study.options.get(tool, {}))]
    return Step(name or tool, [f'tools/{tool}.py', *map(str, [*words, *options])], product, goes_on)


def _flags(options: Options) -> Iterator[str | int | float]:
    for name, value in options.items():
        flag = f'--{name.replace("_", "-")}'
        if isinstance(value, bool):
            yield from [flag] if value else []
        else:
            yield from (flag, *value) if isinstance(value, list) else (flag, value)
