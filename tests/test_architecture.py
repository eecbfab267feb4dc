"""The arrows of the house: what imports what, and what is never loaded for numbers alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ('benchmarks', 'tools', 'mlp', 'dataset', 'mammo', 'models', 'tests')
MAY_IMPORT = dict(
    benchmarks={'benchmarks', 'tools', 'mlp', 'dataset', 'mammo', 'models'},
    tools={'dataset', 'mammo', 'models'},
    mlp={'mammo'},
    dataset={'dataset', 'mammo', 'models'},
    mammo={'mammo', 'models'},
    models={'models'},
)
HEAVY = {'torch', 'mmengine', 'mmcv', 'mmpretrain'}
LIGHT = (
    'mammo.records',
    'mammo.preprocess',
    'mammo.fusion',
    'mammo.phantoms',
    'mammo.public_sets',
    'mammo.evaluation',
    'mammo.leaks',
    'mammo.pages',
    'mammo.patients',
    'mammo.command',
)
TORCH_OF_FUSION = {'mammo.fusion.mlp', 'mammo.fusion.fit'}  # the perceptron itself


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def sources(*folders: str) -> list[Path]:
    paths = [path for folder in folders for path in (ROOT / folder).rglob('*.py')]
    return sorted(paths + ([ROOT / 'mlp.py'] if 'mlp' in folders else []))


def imported(path: Path) -> set[str]:
    """Modules that a file names in any import, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module}
    return names


@pytest.mark.parametrize('room', MAY_IMPORT)
def test_arrows_run_one_way(room: str) -> None:
    wrong = {
        f'{path.relative_to(ROOT)} imports {name}'
        for path in sources(room)
        for name in imported(path)
        if name.split('.')[0] in set(ROOMS) - MAY_IMPORT[room]
    }
    assert not wrong


def test_records_are_the_ground() -> None:
    allowed = ('mammo.records', 'mammo.errors')
    names = {name for path in sources('mammo/records') for name in imported(path) if name.startswith('mammo')}
    assert not {name for name in names if not name.startswith(allowed)}


@pytest.mark.parametrize('room', ['preprocess', 'fusion', 'phantoms', 'public_sets', 'evaluation', 'engine'])
def test_no_room_imports_the_roof(room: str) -> None:
    names = {name for path in sources(f'mammo/{room}') for name in imported(path)}
    assert not {name for name in names if name.startswith(('mammo.inference', 'mammo.crossval'))}


def test_rooms_for_numbers_load_neither_torch_nor_the_framework() -> None:
    modules = [module_of(path) for path in sources('mammo') if module_of(path).startswith(LIGHT)]
    modules = [name for name in modules if name not in TORCH_OF_FUSION]
    code = f'import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n'
    code += f'    heavy = {HEAVY!r} & set(sys.modules)\n    assert not heavy, (name, heavy)'
    ended = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_paths_with_the_prefix_of_the_published_project_lead_here() -> None:
    assert (ROOT / 'projects/Mammography/configs/multi_task_SL').samefile(ROOT / 'configs/multi_task_SL')
