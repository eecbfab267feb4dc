"""Checkpoints: loaded without executing anything, completely or not at all.

.pth file -> dict; config with init_cfg -> files that are known to exist
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from mmengine.model import BaseAveragedModel
from mmengine.runner import CheckpointLoader
from torch import nn

from mammo.engine.loading.fetching import fetch
from mammo.engine.log import tell, warn
from mammo.records.storage.pickles import NO_WEIGHTS, CheckpointError, load_tensors, text_start

# schemes whose stock loaders may unpickle
OTHER_SCHEMES = ['pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'modelzoo://', 'torchvision://',
                 'open-mmlab://', 'openmmlab://', 'mmcls://']  # fmt: skip


def load_from_file(filename: str, map_location: Any = 'cpu', *, trust: bool = False) -> dict[str, Any]:
    """Load a checkpoint file of tensors and plain values; see :mod:`mammo.records.storage.pickles`.

    A file of tensors alone may be a .safetensors.

    Raises:
        CheckpointError: see there; or the file holds no dict, or weights that are not numbers.
    """
    path = Path(filename).expanduser()
    if path.suffix == '.safetensors':
        try:
            content = safetensors.torch.load_file(path, device=str(map_location or 'cpu'))
        except (OSError, safetensors.SafetensorError) as error:
            text = text_start(path)
            problem = NO_WEIGHTS.format(text) if text else f'cannot be read as safetensors: {error}'
            raise CheckpointError(f'{filename}: {problem}') from None
        return _without_nan(content, filename)
    content = load_tensors(filename, trust=trust, map_location=map_location)
    if not isinstance(content, dict):
        raise CheckpointError(f'{filename}: no checkpoint: it holds a {type(content).__name__}, not a dict')
    return _without_nan(content, filename)


def load_from_address(url: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Fetch a checkpoint into torch's cache, once, and load it as a file."""
    return CheckpointLoader.load_checkpoint(str(fetch(url)), map_location)


def load_from_trusted_file(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load a checkpoint file as a pickle, which may run any code in it."""
    return load_from_file(filename, map_location, trust=True)


def load_from_elsewhere(filename: str, *_: Any) -> dict[str, Any]:
    """Refuse an address that names no file.

    Raises:
        CheckpointError: always.
    """
    raise CheckpointError(
        f'{filename}: only files and http(s) addresses are loaded; fetch it and give its file name'
    )


def trust_checkpoints() -> None:
    """From now on load checkpoints as pickles: only on the explicit wish of the user."""
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_trusted_file, force=True)


CheckpointLoader.register_scheme(prefixes='', loader=load_from_file, force=True)
CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), loader=load_from_address, force=True)
CheckpointLoader.register_scheme(prefixes=OTHER_SCHEMES, loader=load_from_elsewhere, force=True)


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
            fetch(checkpoint, f'{place}.init_cfg.checkpoint')
        elif not Path(checkpoint).expanduser().is_file():
            raise CheckpointError(
                f'{place}.init_cfg.checkpoint: {checkpoint}: no such file. Make it by pretraining (stage a, '
                f'configs/pretrain/), or name another with --cfg-options {place}.init_cfg.checkpoint=FILE, '
                f'or start from random weights with '
                f'--cfg-options {place}.init_cfg=None {place}.frozen_stages=-1'
            )


def report_pretrained(model: nn.Module) -> None:
    """Log how much of each module its pretrained checkpoint fills, and what stays frozen at random values.

    Raises:
        CheckpointError: not one tensor fits, or a tensor of that name has another shape.
    """
    filled: set[str] = set()
    copies = tuple(f'{name}.' for name, m in model.named_modules() if isinstance(m, BaseAveragedModel))
    for name, module in model.named_modules():
        if name.startswith(copies):  # they follow the parameters that they are averages of
            continue
        for init_cfg in _pretrained_configs(getattr(module, 'init_cfg', None)):
            filled |= {f'{name}.{key}'.lstrip('.') for key in _fitting(name, module, init_cfg)}
    params = [(name, p) for name, p in model.named_parameters() if not name.startswith(copies)]
    frozen = [name for name, p in params if not p.requires_grad and name not in filled]
    if frozen:
        warn(
            f'{len(frozen)} parameters are frozen at random values ({frozen[0]} ...): unless a checkpoint of '
            'the whole model is loaded, give a pretrained one or set frozen_stages=-1'
        )


def _fitting(name: str, module: nn.Module, init_cfg: dict) -> list[str]:
    """Keys of a module that its checkpoint fills; an error if they are none or have other shapes."""
    content = CheckpointLoader.load_checkpoint(init_cfg['checkpoint'], map_location='cpu', logger='current')
    saved = _state_with_prefix(content, init_cfg.get('prefix'))
    wanted = {key: value for key, value in module.state_dict().items() if 'num_batches_tracked' not in key}
    fitting = [key for key in wanted if key in saved]
    fresh = [key for key in wanted if key not in saved]
    wrong = [key for key in fitting if wanted[key].shape != saved[key].shape]
    if wrong or not fitting:
        raise CheckpointError(
            f'{init_cfg["checkpoint"]}: does not fit {name or "the model"}: '
            f'with prefix {init_cfg.get("prefix")!r} {len(fitting)} of {len(wanted)} tensors have its names, '
            f'of these {len(wrong)} another shape. Missing: {fresh[:5]}, other shape: {wrong[:5]}, '
            f'unexpected: {sorted(set(saved) - set(wanted))[:5]}'
        )
    rest = f', {len(fresh)} start fresh ({fresh[0]} ...)' if fresh else ''
    origin = f'{init_cfg["checkpoint"]} ({_origin(content, saved)})'
    tell(f'{name}: {len(fitting)} of {len(wanted)} tensors from {origin}{rest}')
    return fitting


def _pretrained_configs(init_cfg: Any) -> list[dict]:
    """Those of a module's init configs that name a checkpoint."""
    configs = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]
    return [config for config in configs if isinstance(config, dict) and config.get('type') == 'Pretrained']


def _pretrained(node: Any, place: str) -> Iterator[tuple[str, dict]]:
    """Config paths of modules that start from a checkpoint, with their init_cfg."""
    if not isinstance(node, dict):
        return
    for init_cfg in _pretrained_configs(node.get('init_cfg')):
        yield place, init_cfg
    for key, child in node.items():
        if key != 'init_cfg':
            yield from _pretrained(child, f'{place}.{key}')


def _origin(content: dict, state: dict[str, torch.Tensor]) -> str:
    """Epoch and run that a checkpoint is of, where it says so, and the hash of its weights."""
    meta = content.get('meta') or {}
    facts = [('epoch', meta.get('epoch')), ('of', meta.get('run') or meta.get('experiment_name'))]
    words = [f'{word} {value}' for word, value in facts if value is not None]
    return f'{" ".join(words) or "epoch unknown"}, weights sha256 {weights_sha256(state)}'


def _without_nan(content: dict[str, Any], filename: str) -> dict[str, Any]:
    state = content.get('state_dict', content)
    tensors = (
        {k: v for k, v in state.items() if isinstance(v, torch.Tensor)} if isinstance(state, dict) else {}
    )
    if torn := [key for key, value in tensors.items() if value.isnan().any()]:
        raise CheckpointError(
            f'{filename}: {len(torn)} tensors hold NaN, such as {torn[0]}: the training had diverged; '
            'take an earlier checkpoint'
        )
    return content


def weights_sha256(state: dict[str, Any]) -> str:
    """SHA-256 of the tensors of a state dict, names, types and shapes included; the same in any file."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        if isinstance(value, torch.Tensor):
            digest.update(f'{key} {value.dtype} {tuple(value.shape)}'.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _state_with_prefix(content: dict, prefix: str | None) -> dict[str, torch.Tensor]:
    state = content.get('state_dict', content)
    start = f'{prefix.rstrip(".")}.' if prefix else ''
    return {key[len(start) :]: value for key, value in state.items() if key.startswith(start)}
