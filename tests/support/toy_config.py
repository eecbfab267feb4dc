"""A config small enough to train in a test, for the images of the fixture toy_data."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = '{root}/configs/demo/full_breast_224x128_transformer.py'
pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(64, 96)),
    dict(type='MammoPackMultiTaskInputs'),
]
model = dict({model}backbone=dict(stem_channels=8, base_channels=8), neck=dict(in_dims=128, map_size=(3, 2)))
train_cfg = dict(max_epochs=2)
loader = dict(batch_size=10, num_workers=0)
train_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
val_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
test_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
"""


def write_config(path: Path, data: Path, model: str = '') -> Path:
    """Write the config to ``path``; ``data`` is its data_root, ``model`` its first arguments."""
    path.write_text(CONFIG.format(root=ROOT, data=data, model=model))
    return path
