"""Imports a module of this project with all its faults in it, of which a name chooses one at run time.

path of a module -> Faults (mutmut's: names, what each changes); the module, once it is imported, has them
"""

import difflib
import random
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType

import libcst as cst
from mutmut.mutation.file_mutation import mutate_file_contents

UNTOUCHED = (
    'staticmethod',
    'classmethod',
    'overload',
    'setter',
    'deleter',
)  # what mutmut does itself, or cannot do


class Faults:
    """All faults that mutmut can put into the functions of one module.

    It makes none outside of functions, such as in tables of constants.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.module = path, '.'.join(path.with_suffix('').parts)
        plain = cst.parse_module(path.read_text()).visit(_Undecorated())
        self.mutated = mutate_file_contents(str(path), plain.code)
        self.lines = self.mutated.code.splitlines()

    def sample(self, most: int, seed: int) -> list[str]:
        """At most so many names, of all that there are."""
        names = list(self.mutated.mutant_names)
        drawn = set(random.Random(seed).sample(names, len(names))[:most])  # more are these and others
        return [name for name in names if name in drawn]

    def function(self, name: str) -> str:
        """Name under which mutmut counts the calls of the function that has this fault."""
        return f'{self.module}.{name.rpartition("__mutmut_")[0]}'

    def change(self, name: str) -> list[str]:
        """Lines that the fault removes (-) and adds (+)."""
        sound = self._source(f'{name.rpartition("_")[0]}_orig')
        return [
            line for line in difflib.unified_diff(sound, self._source(name), n=0, lineterm='') if _tells(line)
        ]

    def _source(self, function: str) -> list[str]:
        span = self.mutated.line_span_by_function_name[function]
        lines = self.lines[span.start - 1 : span.end]
        return [line for line in lines if not line.lstrip().startswith(('def ', 'async def '))] + list(
            _head(lines)
        )

    def install(self) -> None:
        """Makes the next import of the module load the faulty code."""
        if self.module in sys.modules:
            raise RuntimeError(f'{self.module} is imported already, without faults')
        sys.meta_path.insert(0, _Finder(self))


def _tells(line: str) -> bool:
    return not line.startswith(('---', '+++', '@@'))


def _head(lines: list[str]) -> Iterator[str]:
    """First lines of functions without their names, in which mutmut's number stands."""
    for line in lines:
        if line.lstrip().startswith(('def ', 'async def ')):
            yield line.partition('(')[2]


class _Undecorated(cst.CSTTransformer):
    """``@d`` above a function becomes ``f = d(f)`` below it: mutmut leaves decorated functions alone."""

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:  # noqa: N802
        return False

    def leave_FunctionDef(  # noqa: N802
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        decorators = [each.decorator for each in updated_node.decorators]
        if not decorators or any(_last_name(each) in UNTOUCHED for each in decorators):
            return updated_node
        value: cst.BaseExpression = updated_node.name
        for each in reversed(decorators):
            value = cst.Call(each, [cst.Arg(value)])
        below = cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(updated_node.name)], value)])
        return cst.FlattenSentinel([updated_node.with_changes(decorators=[]), below])


def _last_name(decorator: cst.BaseExpression) -> str:
    name = decorator.attr if isinstance(decorator, cst.Attribute) else decorator
    return name.value if isinstance(name, cst.Name) else ''


class _Loader(SourceFileLoader):
    def __init__(self, faults: Faults) -> None:
        super().__init__(faults.module, str(faults.path.resolve()))
        self.faults = faults

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.faults.mutated.code, self.path, 'exec')


class _Finder(MetaPathFinder):
    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self.faults.module:
            return None
        found = PathFinder.find_spec(fullname, path)  # type: ignore[arg-type]
        if found is not None:
            found.loader = _Loader(self.faults)
        return found
