"""Configs of backbones: trained, tested, cached, bundled, exported and drawn at small size."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / 'configs/backbones'
FILES = sorted(path.stem for path in FOLDER.glob('*.py'))
SMALL = """
_base_ = '{folder}/{name}.py'
pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(128, 224)),
    dict(type='MammoPackMultiTaskInputs'),
]
model = dict(image_size=(224, 128), backbone=dict(init_cfg=None))
train_cfg = dict(max_epochs=1)
loader = dict(batch_size=10, num_workers=0)
train_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
val_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
test_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
"""


@pytest.mark.slow
@pytest.mark.parametrize('name', FILES)
def test_config_goes_through_all_stages(name: str, toy_data: Path, tmp_path: Path, call: Callable) -> None:
    config = tmp_path / 'config.py'
    config.write_text(SMALL.format(folder=FOLDER, name=name, data=toy_data))
    work, checkpoint = tmp_path / 'work', tmp_path / 'work/epoch_1.pth'
    call('train.py', config, '--work-dir', work)  # two iterations
    call('test.py', config, checkpoint, '--out', tmp_path / 'p.json', '--work-dir', work)
    records = json.loads((tmp_path / 'p.json').read_text())['records']
    assert len(records) == 8
    call('cache_features.py', config, '--views', 1, '--out', tmp_path / 'cache')
    call('make_bundle.py', '--config', config, '--checkpoint', checkpoint, '--out', tmp_path / 'bundle')
    call('export.py', config, checkpoint, '--out', tmp_path / 'net.onnx', '--work-dir', work)  # compares
    if name.endswith('transformer'):
        call('attention_maps.py', config, checkpoint, '--out-dir', tmp_path / 'maps', '--work-dir', work)
        assert len([*(tmp_path / 'maps').glob('*.png')]) == 8
