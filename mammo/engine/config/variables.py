"""Variables of a config, which are copied while it is read: to change one later does nothing to its copies.

Config, name -> dotted keys of its copies; config file -> nothing, or an error if it sets a variable in vain
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mammo.engine.config.keys import OF_RUNS, ConfigError
from mammo.engine.log import tell
from mammo.errors import listed


def _is_variable(key: str) -> bool:
    """Whether a key of the top level is the config's own, so that no run reads it."""
    return '.' not in key and key not in OF_RUNS and not key.startswith('tracker_')


def copies(cfg: Config, key: str) -> list[str]:
    """Where a variable was copied to, all of the same name.

    Raises:
        ConfigError: it is part of other values as well, or nothing reads it.
    """
    if not _is_variable(key) or key not in cfg:
        return []
    places = [place for place in _places(cfg._cfg_dict, cfg[key], key) if place != key]
    if not places or any(place.rpartition('.')[2] != key for place in places):
        reason = (
            f'was copied when the config was read; set {listed(places)}' if places else 'is read by nothing'
        )
        raise ConfigError(f'--cfg-options {key}: to set it has no effect: it {reason}')
    tell(f'--cfg-options {key}: sets {", ".join(places)}')
    return places


def _places(node: Any, value: Any, name: str, place: str = '') -> Iterator[str]:
    """Dotted keys below which a value stands; a text also within others, a number only by its name."""
    if place and _is_copy(node, value, is_namesake=place.rpartition('.')[2] == name):
        yield place
        return
    children: Any = node.items() if isinstance(node, dict) else ()
    children = enumerate(node) if isinstance(node, list | tuple) else children
    for key, child in children:
        yield from _places(child, value, name, f'{place}.{key}' if place else str(key))


def _is_copy(node: Any, value: Any, *, is_namesake: bool) -> bool:
    if isinstance(value, str) and len(value) > 1:
        return isinstance(node, str) and value in node
    return bool(node == value and (is_namesake or (isinstance(value, list | dict) and value)))


def refuse_dead_variables(path: Path, cfg: Config) -> None:
    """A config that sets a variable alone, whose old value its base has already copied, would not do so."""
    try:
        tree = ast.parse(path.read_text(encoding='utf-8'))
    except (SyntaxError, UnicodeDecodeError):  # no Python: mmengine reads JSON and YAML, too
        return
    names = {name for name, _ in _targets(tree)}
    read = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    for base in _bases(path, tree):
        old = Config.fromfile(str(base), import_custom_modules=False)
        for name in sorted(names - read):
            if _is_variable(name) and name in old and name in cfg and old[name] != cfg[name]:
                places = [place for place in _places(cfg._cfg_dict, old[name], name) if place != name]
                if places:
                    raise ConfigError(
                        f'{path}: to set {name} alone has no effect: {base} has copied its old value to '
                        f'{listed(places)}; set it there'
                    )
        refuse_dead_variables(base, old)


def _targets(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Names that the file sets at its top level, with what."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _bases(path: Path, tree: ast.Module) -> list[Path]:
    """The files that ``_base_`` names, as far as they are written out and lie on this disk."""
    for name, value in _targets(tree):
        if name == '_base_':
            try:
                files = ast.literal_eval(value)
            except ValueError:
                return []
            paths = [path.parent / file for file in ([files] if isinstance(files, str) else files)]
            return [base for base in paths if base.is_file()]
    return []
