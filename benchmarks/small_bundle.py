"""A small bundle of random weights, whose images differ in their answers.

folder -> BUNDLE
"""

from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

import models  # noqa: F401  (registers names)
from mammo.inference.bundle.folder import write_bundle
from mammo.inference.making import Trained, bundle_files

PREPROCESS = dict(spacing_mm=0.5, voi=None, for_processing='refuse', flip_to=None)
MODEL = dict(
    type='ImageTabClassifier',
    tasks=[dict(name='N', kind='binary'), dict(name='LVI', kind='binary')],
    backbone=dict(type='ResNetWs', depth=50, stem_channels=8, base_channels=8, expansion=2),
    neck=dict(type='TransformerNeck', in_dims=128, pooling_size=4, map_size=(3, 2), is_LSA=True),
    data_preprocessor=dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
)  # fmt: skip
STEPS = [dict(type='Resize', scale=(72, 104)), dict(type='CenterCrop', crop_size=(64, 96))]


def make_bundle(folder: Path) -> Path:
    """Four small networks of random weights; the weights of their last layers tell images apart."""
    init_default_scope('mammo')
    members = {}
    for i in range(4):
        torch.manual_seed(i)
        model = MODELS.build(MODEL)
        torch.nn.init.normal_(model.neck.fc.weight)
        members[str(i)] = folder / f'{i}.pth'
        torch.save(dict(state_dict=model.state_dict()), members[str(i)])
    trained = Trained(MODEL, STEPS, 'N', members, False, [], {}, {}, {})
    write_bundle(folder / 'bundle', bundle_files(trained, PREPROCESS))
    return folder / 'bundle'
