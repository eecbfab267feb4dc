"""Is there what README and docs name? Files, options of commands, functions, targets of make, settings.

all pages -> names that do not exist

Run: python tests/docs/names.py
"""

import functools
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from facts import ROOT, config, pages, sections, text

GENERATED = ('docs/cli.md', 'docs/differences.md')
FOLDERS = 'configs|tools|mammo|models|dataset|benchmarks|tests|docs'
FILE = re.compile(rf'(?<![\w/.$}}])(?:{FOLDERS})/[\w./*-]*[\w*](?![\w<{{])')
OPTION = re.compile(r'(?<![\w-])--[a-z][\w-]*')
COMMAND = re.compile(r'(?:[\w.-]+/)*(\w+)\.(py|sh)\b')
# options of others: curl, sbatch and srun, docker, pip
OTHERS = {'--partition', '--gres', '--time', '--cpus-per-task', '--signal', '--shm-size', '--no-requeue'}
SCRIPTS = dict(dist_train='train', slurm_train='train', dist_test='test', slurm_test='test')
BASES = ('configs/multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py',
         'configs/pretrain/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py')  # fmt: skip


def code(page: str) -> Iterator[str]:
    """Lines of blocks, and what stands between back-ticks."""
    said = text(page)
    for block in re.findall(r'^```[^\n]*\n(.*?)^```', said, re.M | re.S):
        yield from block.replace('\\\n', ' ').splitlines()
    yield from re.findall(r'`([^`]+)`', re.sub(r'^```.*?^```', '', said, flags=re.M | re.S))


def files(page: str) -> Iterator[str]:
    """Files that are not there."""
    if page == 'docs/changelog.md':  # which names what is gone
        return
    for name in {name for line in code(page) for name in FILE.findall(line)}:
        if not (list(ROOT.glob(name)) or (ROOT / name).exists()):
            yield name


def links(page: str) -> Iterator[str]:
    """Targets of links that are not there; of the pages of the site mkdocs sees to them."""
    for target in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', text(page)):
        if not ((ROOT / page).parent / target).exists():
            yield target


def options(page: str) -> Iterator[str]:
    """Options that the command of their line does not have, or no command where the line names none."""
    for line in code(page):
        commands = [SCRIPTS.get(name, name) for name, _ in COMMAND.findall(line)]
        known = set().union(*map(options_of, commands)) if commands else all_options()
        yield from (
            f'{option} in {line.strip()[:80]!r}' for option in {*OPTION.findall(line)} - known - OTHERS
        )


@functools.cache
def options_of(name: str) -> set[str]:
    """Options of a command, by its file's name; of scripts without a section those that the file names."""
    found = [part for command, part in sections().items() if Path(command).stem == name]
    return set(OPTION.findall(' '.join([*found, *scripts(name)]))) or all_options()


@functools.cache
def all_options() -> set[str]:
    return set(OPTION.findall(' '.join([*sections().values(), *scripts('*')])))


def scripts(name: str) -> Iterator[str]:
    """Text of what is run with python but has no section."""
    for folder in ('benchmarks', 'tests/torture', 'docs/checks'):
        yield from (path.read_text(encoding='utf-8') for path in (ROOT / folder).rglob(f'{name}.py'))


def functions(page: str) -> Iterator[str]:
    """Modules, classes and functions that cannot be imported."""
    for line in code(page):
        for module, names in re.findall(r'from ((?:mammo|models|dataset)[\w.]*) import ([\w, ]+)', line):
            yield from _absent(*(f'{module}.{name.strip()}' for name in names.split(',')))
        yield from _absent(*re.findall(r'(?<![\w/.])(?:mammo|models|dataset)(?:\.\w+)+(?![\w/=.])', line))
    yield from _absent(*re.findall(r'^::: (\S+)', text(page), re.M))


def _absent(*names: str) -> Iterator[str]:
    for name in names:
        module, _, last = name.rpartition('.')
        try:
            is_there = hasattr(importlib.import_module(module), last) or importlib.import_module(name)
        except ImportError:
            is_there = False
        if not is_there:
            yield name


def targets(page: str) -> Iterator[str]:
    """Targets that the Makefile does not have."""
    known = re.findall(r'^([\w-]+):', text('Makefile'), re.M)
    for line in code(page):
        yield from {name for name in re.findall(r'^make ([\w-]+)', line.strip()) if name not in known}


def settings(page: str) -> Iterator[str]:
    """Settings of --cfg-options that neither training nor pretraining has."""
    for line in code(page):
        for key in re.findall(r'(?<![\w.-])((?:[a-z]\w*\.)+\w+)=', line.partition('--cfg-options')[2]):
            if not any(_has(config(base), key.split('.')) for base in BASES):
                yield key


def _has(cfg: Any, keys: list[str]) -> bool:
    """Whether a config has a setting, or an object whose argument it may be."""
    for key in keys:
        if not hasattr(cfg, 'keys') or key not in cfg:
            return hasattr(cfg, 'keys') and 'type' in cfg
        cfg = cfg[key]
    return True


CHECKS: dict[str, Callable[[str], Iterator[str]]] = dict(
    files=files, links=links, options=options, functions=functions, targets=targets, settings=settings
)


def problems(check: str) -> list[str]:
    """Names of one kind that do not exist, with their pages."""
    return [f'{page}: {name}' for page in pages() if page not in GENERATED for name in CHECKS[check](page)]


def main() -> int:
    """Print them."""
    found = [f'{line} ({check})' for check in CHECKS for line in problems(check)]
    print('\n'.join(found) or 'all names are there')
    return int(bool(found))


if __name__ == '__main__':
    sys.exit(main())
