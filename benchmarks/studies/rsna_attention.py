"""How much the attention of a neck follows the image: alike in all images, or of each its own.

networks of fold 0 of benchmarks/studies/rsna.py, maps of their test images -> a table in Markdown
"""

import json
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from numpy.typing import NDArray
from torch import nn

from benchmarks.studies.rsna_breasts import Study
from dataset.cache.maps import FeatureCache
from mammo.evaluation.attention import alike
from mammo.records.meta import read_meta
from models.necks.attention_maps import class_row
from models.necks.transformer import Attention
from models.registry import MODELS

MEMBER = '0/0'
MAP_SIZE = (32, 32)  # of 512 x 512 pixels


def attention_table(study: Study) -> str:
    """Of every finished network whose neck attends."""
    rows = []
    for run in sorted(path.parents[1] for path in study.necks.glob('*_seed*/report/report.json')):
        cache = study.work / f'maps_{run.name.split("_seed")[0].partition("@")[0]}'
        neck = neck_of(run)
        if getattr(neck, 'attends', False) and cache.is_dir():
            attention = attention_of(neck, cache, study.work / 'folds' / MEMBER / 'test.json')
            rows.append(f'| {run.name} | {alike(attention):.3f} | {n_effective(attention):.1f} |')
    n_tokens = attention.shape[1] if rows else 0
    head = f'| | correlation of two images | tokens attended to, of {n_tokens} |'
    return '\n'.join([head, '|---|---|---|', *rows])


def neck_of(run: Path) -> nn.Module:
    """The neck of a run's first network, for pooled maps."""
    init_default_scope('mammo')
    config = {k: v for k, v in Config.fromfile(run / 'config.py').model.neck.items() if v is not None}
    cls = MODELS.get(config['type'])
    if not getattr(cls, 'attends', False):
        return nn.Identity()
    checkpoint = json.loads((run / 'cross_validate.json').read_text())['folds'][MEMBER]['checkpoint']
    state = torch.load(run / MEMBER / checkpoint, weights_only=True, map_location='cpu')['state_dict']
    weights = {k.removeprefix('neck.'): v for k, v in state.items() if k.startswith('neck.')}
    n_tasks, width = weights['fc.weight'].shape
    neck = MODELS.build(config | dict(in_dims=width, out_dims=n_tasks, map_size=MAP_SIZE, pooled=True))
    neck.load_state_dict(weights)
    return neck.eval()


@torch.no_grad()
def attention_of(neck: nn.Module, cache_dir: Path, meta_file: Path) -> NDArray:
    """Attention of the class token in the last block, mean over heads: (n_images, n_tokens)."""
    cache, rows = FeatureCache(cache_dir), []
    last = [module for module in neck.modules() if isinstance(module, Attention)][-1]
    last.register_forward_pre_hook(
        lambda block, args: rows.append(class_row(block, args[0], args[2]).mean(1))
    )
    for item in read_meta(meta_file)['data_list']:
        neck((torch.from_numpy(cache.read('plain', item['img_path'], 0))[None],))
    return torch.cat(rows).numpy()


def n_effective(attention: NDArray) -> float:
    """Mean over images of exp(entropy) of the attention (n, tokens): over how many tokens it is spread."""
    share = attention / attention.sum(axis=1, keepdims=True)
    entropy = -np.where(share > 0, share * np.log(np.maximum(share, 1e-30)), 0).sum(axis=1)
    return float(np.exp(entropy).mean())
