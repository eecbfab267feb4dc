"""A pretraining small enough for a test, on the images of the fixture toy_data, some of them held out."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / 'configs' / '_base_'
CONFIG = """
_base_ = [
    '{base}/models/{method}_resnetws50.py',
    '{base}/data/patches_224.py',
    '{base}/schedules/lars_100e.py',
    '{base}/pretrain_runtime.py',
]
view = [dict(type='RandomResizedCrop', scale=32), dict(type='RandomFlip', prob=0.5)]
pipeline = [
    dict(type='LoadMammogram'),
    dict(type='MultiView', num_views=[2], transforms=[view]),
    dict(type='PackInputs'),
]
held_out_pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(32, 64)),
    dict(type='MammoPackMultiTaskInputs'),
]
model = dict(
    backbone=dict(stem_channels=8, base_channels=8, init_cfg=None),
    neck=dict(in_channels=128, hid_channels=16, out_channels=8),
)
train_cfg = dict(max_epochs=2)
train_dataloader = dict(
    batch_size=10, num_workers=0, drop_last=True,
    dataset=dict(data_root='{data}', ann_file='list.txt', pipeline=pipeline),
)
default_hooks = dict(
    checkpoint=dict(interval=1),
    learning_monitor=dict(
        interval=1, label_field='N', batch_size=3,
        dataset=dict(data_root='{data}', ann_file='{held_out}', pipeline=held_out_pipeline),
    ),
)
env_cfg = dict(dist_cfg=dict(timeout=120))
"""
HEADS = dict(
    barlowtwins='model.update(head=dict(in_channels=8))',
    byol='model.update(head=dict(predictor=dict(in_channels=8, hid_channels=16, out_channels=8)))',
)


def write_pretraining(
    path: Path, data: Path, method: str = 'barlowtwins', held_out: str = 'test.json'
) -> Path:
    """Write the config to ``path``, and the list of its training images into ``data``."""
    (data / 'list.txt').write_text(''.join(f'image{i}.png\n' for i in range(20)))
    text = CONFIG.format(base=BASE, data=data, method=method, held_out=held_out)
    path.write_text(text + HEADS.get(method, ''))
    return path


def load_pretraining(folder: Path, data: Path, **options: Any) -> Config:
    """The config, whose work dir is ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    cfg = Config.fromfile(write_pretraining(folder / 'toy.py', data, **options))
    cfg.work_dir = str(folder)
    cfg.experiment_name = '_'.join(folder.parts[-2:])
    return cfg
