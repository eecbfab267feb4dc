"""Networks of a bundle as plain data: an architecture of allowed names, and weights by file.

model config -> JSON data; state dicts of the members -> safetensors files
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import safetensors.torch
import torch
from mmengine.registry import Registry
from torch import Tensor

from mammo.inference.bundle.folder import BundleError
from models.registry import MODELS, SCOPE

# What the architecture of a bundle may build, by the module that defines it: layers and networks made of
# numbers and names, which run no code of their arguments.
ALLOWED = ('models', 'mmpretrain.models.backbones', 'mmpretrain.models.necks', 'mmpretrain.models.losses',
           'mmpretrain.models.utils', 'mmcv.cnn', 'mmengine.model', 'torch.nn.modules')  # fmt: skip
MODEL_KEYS = (
    'type', 'tasks', 'task', 'backbone', 'neck', 'head', 'data_preprocessor', 'image_size', 'frozen_backbone',
)  # fmt: skip
DROPPED = ('init_cfg', 'pretrained', 'checkpoint_path')  # where weights once came from
REFERENCE = re.compile(r'[:/\\]')  # of a file or an address, in a value
BACKBONE = 'backbone.'


def plain_model(config: dict[str, Any]) -> dict[str, Any]:
    """A model config -> the same architecture as JSON data of allowed names.

    Raises:
        BundleError: it needs more than a bundle may hold.
    """
    model = json.loads(json.dumps({key: config[key] for key in MODEL_KEYS if config.get(key) is not None}))
    model = _cleaned(model)
    check_model(model)
    return model


def check_model(part: Any, place: str = 'model') -> None:
    """Refuse names that are not allowed and keys that would load files, at any depth."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        here = f'{place}.{key}'
        refused = key in DROPPED or key == '_scope_' or (key == 'type' and not _is_allowed(value))
        if refused or (key != 'name' and isinstance(value, str) and REFERENCE.search(value)):
            raise BundleError(
                f'{here} is {value!r}, which a bundle may not hold: there are networks and layers of '
                f'{", ".join(ALLOWED)}, and nothing that names a file or an address'
            )
        if isinstance(value, dict | list):
            check_model(value, here)


def _is_allowed(name: Any) -> bool:
    if not isinstance(name, str) or '.' in name:  # a dotted name may import anything
        return False
    with MODELS.switch_scope_and_registry(SCOPE) as registry:
        cls = next((r.module_dict[name] for r in _ancestors(registry) if name in r.module_dict), None)
    return f'{getattr(cls, "__module__", "")}.'.startswith(tuple(f'{module}.' for module in ALLOWED))


def _ancestors(registry: Registry | None) -> Iterator[Registry]:
    while registry is not None:
        registry.import_from_location()
        yield registry
        registry = registry.parent


def split_weights(states: Iterable[dict[str, Tensor]], *, shared: bool) -> Iterator[tuple[str, bytes]]:
    """State dicts of the members, one at a time -> files; with ``shared`` the one backbone is there once."""
    for i, state in enumerate(states):
        backbone = {k: v for k, v in state.items() if k.startswith(BACKBONE)} if shared else {}
        if shared and i == 0:
            first = backbone
            yield 'backbone.safetensors', safetensors.torch.save(backbone)
        elif shared and not all(torch.equal(v, first[k]) for k, v in backbone.items()):
            raise BundleError(f'member {i} has another backbone than member 0, though the record says one')
        yield member_file(i), safetensors.torch.save({k: v for k, v in state.items() if k not in backbone})


def member_file(i: int) -> str:
    """Name of the weights of member ``i``, from 0."""
    return f'member_{i:02d}.safetensors'


def _cleaned(part: Any) -> Any:
    """Without keys of training, and with batch norm of one process, whose weights are the same."""
    if isinstance(part, dict):
        kept = {k: _cleaned(v) for k, v in part.items() if k not in DROPPED}
        return kept | (dict(type='BN') if part.get('type') == 'SyncBN' else {})
    return [_cleaned(v) for v in part] if isinstance(part, list) else part
