"""Checkpoints: loaded without executing anything, completely or not at all.

.pth file -> dict; config with init_cfg -> files that are known to exist
"""

import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import nn

# what torch raises for files that are no checkpoints
DAMAGED = (RuntimeError, EOFError, OSError, KeyError, IndexError, AttributeError, ValueError)


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, unsafe or of another model."""


def load_from_file(filename: str, map_location: Any = 'cpu', *, weights_only: bool = True) -> dict[str, Any]:
    """Load a checkpoint file of tensors and plain values.

    Raises:
        CheckpointError: the file is missing or damaged, or would have to run code to load.
    """
    path = Path(filename).expanduser()
    try:
        return torch.load(path, map_location=map_location, weights_only=weights_only)
    except FileNotFoundError:
        raise CheckpointError(f'{path}: no such checkpoint') from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path}: refused, since it is damaged or holds more than tensors and plain values, which could '
            f'run code ({_reason(error)}). If you trust its origin, open it with --trust-checkpoint'
        ) from None
    except DAMAGED as error:
        raise CheckpointError(f'{path}: not a readable checkpoint: {error}') from None


def load_from_address(url: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Fetch a checkpoint into torch's cache, once, and load it as a file."""
    return CheckpointLoader.load_checkpoint(str(_fetch(url, url)), map_location)


def load_from_trusted_file(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load a checkpoint file as a pickle, which may run any code in it."""
    return load_from_file(filename, map_location, weights_only=False)


def trust_checkpoints() -> None:
    """From now on load checkpoints as pickles: only on the explicit wish of the user."""
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_trusted_file, force=True)


CheckpointLoader.register_scheme(prefixes='', loader=load_from_file, force=True)
CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), loader=load_from_address, force=True)


def require_pretrained(model_cfg: dict, load_from: str | None) -> None:
    """Make sure that every checkpoint a training run starts from is there, before any data is read.

    Raises:
        CheckpointError: a file is missing, or an address could not be fetched.
    """
    if load_from and '://' not in load_from and not Path(load_from).expanduser().is_file():
        raise CheckpointError(
            f'load_from: {load_from}: no such checkpoint; train it, or set load_from to another'
        )
    for place, init_cfg in _pretrained(model_cfg, 'model'):
        checkpoint = init_cfg['checkpoint']
        if '://' in checkpoint:
            _fetch(checkpoint, f'{place}.init_cfg.checkpoint')
        elif not Path(checkpoint).expanduser().is_file():
            raise CheckpointError(
                f'{place}.init_cfg.checkpoint: {checkpoint}: no such file. Make it by pretraining (stage a, '
                f'configs/pretrain/), or name another with --cfg-options {place}.init_cfg.checkpoint=FILE, '
                f'or start without it with --cfg-options {place}.init_cfg=None'
            )


def report_pretrained(model: nn.Module) -> None:
    """Log how much of each module its pretrained checkpoint filled.

    Raises:
        CheckpointError: not one tensor fits, or a tensor of that name has another shape.
    """
    for name, module in model.named_modules():
        init_cfg = getattr(module, 'init_cfg', None)
        if not isinstance(init_cfg, dict) or init_cfg.get('type') != 'Pretrained':
            continue
        given = _state_with_prefix(init_cfg['checkpoint'], init_cfg.get('prefix'))
        own = {key: value for key, value in module.state_dict().items() if 'num_batches_tracked' not in key}
        wrong = [key for key in own if key in given and own[key].shape != given[key].shape]
        fresh = [key for key in own if key not in given]
        if wrong or len(fresh) == len(own):
            raise CheckpointError(
                f'{init_cfg["checkpoint"]}: does not fit {name or "the model"}: '
                f'{len(own) - len(fresh)} of {len(own)} tensors have its names, of these {len(wrong)} '
                f'another shape. Missing: {fresh[:5]}, other shape: {wrong[:5]}, '
                f'unexpected: {sorted(set(given) - set(own))[:5]}'
            )
        print_log(
            f'{name}: {len(own) - len(fresh)} of {len(own)} tensors from {init_cfg["checkpoint"]}, '
            f'{len(fresh)} start fresh' + (f' ({fresh[0]} ...)' if fresh else ''),
            'current',
        )


def _pretrained(node: Any, place: str) -> Iterator[tuple[str, dict]]:
    """Config paths of modules that start from a checkpoint, with their init_cfg."""
    if not isinstance(node, dict):
        return
    init_cfg = node.get('init_cfg')
    if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
        yield place, init_cfg
    for key, child in node.items():
        if key != 'init_cfg':
            yield from _pretrained(child, f'{place}.{key}')


def _fetch(url: str, place: str) -> Path:
    """Download a checkpoint into torch's cache, once, on the main process."""
    target = Path(torch.hub.get_dir()) / 'checkpoints' / os.path.basename(url)
    if is_main_process() and not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        print_log(f'{place}: fetching {url}', 'current')
        try:
            torch.hub.download_url_to_file(url, str(target), progress=False)
        except OSError as error:  # no network, or no room
            raise CheckpointError(
                f'{place}: could not fetch {url} ({error}). Fetch it by hand and save it as {target}, or '
                f'start without it with --cfg-options {place.removesuffix(".checkpoint")}=None'
            ) from None
    barrier()
    return target


def _reason(error: Exception) -> str:
    """What torch's unpickler objects to, without its advice to load unsafely."""
    found = re.search(r'Unsupported[^:]*: \w+ [\w.]+|Can only[^.]*|invalid load key', str(error))
    return found[0] if found else 'it cannot be read'


def _state_with_prefix(checkpoint: str, prefix: str | None) -> dict[str, torch.Tensor]:
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    state = content.get('state_dict', content)
    start = f'{prefix.rstrip(".")}.' if prefix else ''
    return {key[len(start) :]: value for key, value in state.items() if key.startswith(start)}
