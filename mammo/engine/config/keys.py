"""Which keys a config may have: those it has, and the arguments of what its sections build.

Config, dotted key -> nothing, or an error with the nearest key
"""

import difflib
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry, root
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    Runner,
    TestLoop,
    ValLoop,
    set_random_seed,
)
from torch.utils.data import DataLoader

from mammo.errors import UserError, listed
from models.heads.tasks import TASK_KEYS

OF_RUNS = {*inspect.signature(Runner.__init__).parameters} | {
    '_base_', 'custom_hooks', 'custom_imports', 'runner_type', 'auto_resume', 'sync_bn', 'model_wrapper_cfg',
    'find_unused_parameters', 'default_scope', 'env_cfg',
}  # fmt: skip
# what sections without a type are made of, by the last part of their name
SECTIONS: dict[str, tuple[Any, ...]] = dict(
    train_dataloader=(DataLoader,), val_dataloader=(DataLoader,), test_dataloader=(DataLoader,),
    train_cfg=(EpochBasedTrainLoop, IterBasedTrainLoop), val_cfg=(ValLoop,), test_cfg=(TestLoop,),
    optim_wrapper=(OptimWrapper,), randomness=(set_random_seed,), clip_grad=(torch.nn.utils.clip_grad_norm_,),
)  # fmt: skip
ALSO = dict(
    train_dataloader={'num_batch_per_epoch'},
    train_cfg={'by_epoch'},
    auto_scale_lr={'enable', 'base_batch_size'},
    tasks={*TASK_KEYS},
)
REGISTRIES = ('MODELS', 'DATASETS', 'TRANSFORMS', 'HOOKS', 'METRICS', 'OPTIM_WRAPPERS', 'OPTIMIZERS',
              'LOOPS', 'PARAM_SCHEDULERS', 'DATA_SAMPLERS', 'VISUALIZERS', 'VISBACKENDS',
              'LOG_PROCESSORS')  # fmt: skip


class ConfigError(UserError):
    """A config, or an option that replaces a part of it, that cannot be used or would have no effect."""


def refuse_unknown(cfg: Config, key: str) -> None:
    """See that each part of a dotted key is in the config, or an argument of what that part builds."""
    node: Any = cfg._cfg_dict
    parts = key.split('.')
    for i, part in enumerate(parts):
        place = '.'.join(parts[:i])
        if isinstance(node, list | tuple):
            if not (part.isdigit() and int(part) < len(node)):
                raise ConfigError(f'--cfg-options {key}: {place} has {len(node)} items, 0 is the first')
            node = node[int(part)]
        elif not isinstance(node, dict):
            raise ConfigError(f'--cfg-options {key}: {place} is {node!r} and has no parts')
        elif part in node:
            node = node[part]
        else:
            arguments = _arguments(node, place)
            if part in arguments:
                return
            near = difflib.get_close_matches(part, [*node, *arguments], n=1)
            hint = f', the nearest is {near[0]}' if near else f'; there are {listed(list(node))}'
            raise ConfigError(
                f'--cfg-options {key}: {place or "the config"} has no {part!r}{hint}. To add a key that is '
                f'not there, write +{key}=...'
            )


@contextmanager
def building(section: dict, place: str) -> Iterator[None]:
    """Name the place of what stops a section of a config from being built.

    Raises:
        ConfigError: an argument is unknown or missing, or has a value that cannot be.
    """
    try:
        yield
    except UserError:
        raise
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        unexpected = re.search(
            r"(\w+)(\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", str(error)
        )
        text = str(error.args[0]) if error.args else type(error).__name__
        if unexpected:
            name, _, key = unexpected.groups()
            text = f'{name} takes no argument {key!r}, which stands at {listed(_keys(section, place, key))}'
        raise ConfigError(f'{place} cannot be built: {text}') from error


def _keys(node: Any, place: str, key: str) -> Iterator[str]:
    """Where a key stands in a section, and the nearest that could stand there."""
    if isinstance(node, dict) and key in node:
        near = difflib.get_close_matches(key, _arguments(node, place), n=1)
        yield f'{place}.{key}' + (f' (the nearest is {near[0]})' if near else '')
    children: Any = node.items() if isinstance(node, dict) else ()
    children = enumerate(node) if isinstance(node, list | tuple) else children
    for name, child in children:
        yield from _keys(child, f'{place}.{name}', key)


def _arguments(section: dict, place: str) -> set[str]:
    """Names that a section of a config takes besides those that it sets."""
    if not place:
        return OF_RUNS
    name = re.sub(r'\.\d+$', '', place).rpartition('.')[2]  # an item of a list has the name of the list
    made_of = _classes(section['type']) if section.get('type') else SECTIONS.get(name, ())
    return ALSO.get(name, set()) | {argument for each in made_of for argument in _signature(each)}


def _classes(kind: Any) -> list[Any]:
    """What a type of a config may name."""
    if not isinstance(kind, str):
        return [kind]
    registries = [registry for name in REGISTRIES for registry in _family(getattr(root, name))]
    classes = [registry.module_dict.get(kind.rpartition('.')[2]) for registry in registries]
    return [each for each in classes if each]


def _family(registry: Registry) -> Iterator[Registry]:
    """A registry and all below it."""
    yield registry
    for child in registry.children.values():
        yield from _family(child)


def _signature(each: Any) -> Iterator[str]:
    """Names of the arguments of a function, or of a class and those that it extends."""
    makers = (
        [vars(base).get('__init__', object) for base in inspect.getmro(each)]
        if inspect.isclass(each)
        else [each]
    )
    for make in makers:
        try:
            yield from (name for name in inspect.signature(make).parameters if name != 'self')
        except ValueError:  # of C
            continue
