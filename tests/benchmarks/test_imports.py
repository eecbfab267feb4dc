"""Benchmarks and studies name what there is: nobody runs them all, so that a stale name would stay unseen."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ('mammo', 'models', 'dataset', 'mlp', 'benchmarks', 'tools', 'tests')
SCRIPTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'benchmarks').rglob('*.py'))


def imports(script: str) -> list[tuple[str, str]]:
    """Module and name of all that a script imports of this project, wherever in it."""
    tree = ast.parse((ROOT / script).read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return [
        (node.module, alias.name)
        for node in nodes
        if node.module.split('.')[0] in ROOMS
        for alias in node.names
    ]


@pytest.mark.parametrize('script', SCRIPTS)
def test_what_a_script_imports_is_there(script: str) -> None:
    lacking = [
        f'{module}.{name}' for module, name in imports(script) if not _is_there(import_module(module), name)
    ]
    assert not lacking


@pytest.mark.parametrize('script', [name for name in SCRIPTS if name.startswith('benchmarks/bench_')])
def test_a_benchmark_can_be_run_with_all_others(script: str) -> None:
    measure = import_module(script.removesuffix('.py').replace('/', '.')).measure
    needed = [p for p in inspect.signature(measure).parameters.values() if p.default is p.empty]
    assert not needed


def _is_there(module, name: str) -> bool:
    if hasattr(module, name):
        return True
    try:
        import_module(f'{module.__name__}.{name}')
    except ImportError:
        return False
    return True
