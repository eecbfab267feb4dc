"""Weights that people have, as a checkpoint that configs start from.

config, file (.pth, .safetensors), names of its source -> .pth for `init_cfg`, report
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from mammo.engine.config.keys import building
from mammo.engine.config.reading import read_config
from mammo.engine.loading.checkpoint import load_from_file
from mammo.errors import UserError, listed
from mammo.records.storage.files import replacing, sha256_of
from models.backbones.weight_rules import renamed

CONTAINERS = ('state_dict', 'model', 'teacher', 'model_state_dict', 'network')  # keys that hold weights


class Report(NamedTuple):
    """What became of the weights."""

    n_tensors: int  # of the network
    filled: list[str]
    fresh: list[str]  # of the network, which the file does not have
    misshapen: list[str]  # in both, with another shape
    unused: list[str]  # of the file

    def __str__(self) -> str:
        lines = [f'{len(self.filled)} of {self.n_tensors} tensors filled']
        parts = dict(
            fresh='start fresh', misshapen='have another shape and start fresh', unused='of the file unused'
        )
        for part, words in parts.items():
            names = getattr(self, part)
            lines += [f'{len(names)} {words}: {listed(names)}'] if names else []
        return '\n'.join(lines)


def convert(
    config: str | Path, file: str | Path, source: str, out: str | Path, *, trust_checkpoint: bool = False
) -> Report:
    """Write the weights of a file under the names of a config's backbone.

    Args:
        config: whose ``model.backbone`` they are for.
        file: .pth or .safetensors.
        source: whose names the file has, a key of :data:`models.backbones.weight_rules.SOURCES`.
        out: checkpoint to write, for ``init_cfg=dict(type='Pretrained', checkpoint=OUT, prefix='backbone')``.
        trust_checkpoint: load the file as a pickle, which may run any code in it.

    Raises:
        UserError: the file cannot be read, or not one of its weights fits.
    """
    cfg = read_config(config)
    with building(cfg.model.backbone, 'model.backbone'):
        backbone = MODELS.build({**cfg.model.backbone, 'init_cfg': None})
    network = {k: v for k, v in backbone.state_dict().items() if 'num_batches_tracked' not in k}
    weights = renamed(weights_of(load_from_file(str(file), trust=trust_checkpoint)), source, network)
    fitting = {k: v.float() for k, v in weights.items() if k in network and v.shape == network[k].shape}
    report = Report(
        len(network),
        [*fitting],
        [k for k in network if k not in weights],
        [k for k in network if k in weights and k not in fitting],
        [k for k in weights if k not in network and 'num_batches_tracked' not in k],
    )
    if not fitting:
        raise UserError(
            f'{file}: none of its weights fits model.backbone of {config} by the names of {source}; it has '
            f'{listed([*weights])}, the network {listed([*network])}: choose another --source'
        )
    content = dict(
        state_dict={f'backbone.{k}': v.contiguous() for k, v in fitting.items()},
        meta=dict(run=Path(file).name, source=source, source_sha256=sha256_of(Path(file))),
    )
    with replacing(Path(out)) as tmp, tmp.open('wb') as stream:
        torch.save(content, stream)
    return report


def weights_of(content: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors by name of a checkpoint, out of whatever holds them."""
    for key in CONTAINERS:
        if isinstance(content.get(key), dict):
            return weights_of(content[key])
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}
