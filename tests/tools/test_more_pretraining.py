"""Further pretraining methods at small size: trained, monitored and handed over as the published ones."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs/pretrain/more'
FILES = sorted(path.stem for path in FOLDER.glob('*.py'))
RESNET = ['model.backbone.stem_channels=8', 'model.backbone.base_channels=8', 'model.backbone.init_cfg=None',
          'model.neck.in_channels=128']  # fmt: skip
OWN = {
    'densecl_resnet50-exp2_MMpatches': ['model.queue_len=64'],
    'mae_vit-small-p16_MMpatches': ['model.backbone.arch.num_layers=1', 'model.neck.decoder_depth=1'],
}
# their loss or queue is made of the rows of all processes
GATHERING = ['densecl_resnet50-exp2_MMpatches', 'mocov3_resnet50-exp2_MMpatches',
             'simclr_resnet50-exp2_MMpatches']  # fmt: skip


def options(name: str, data: Path, batch_size: int) -> list[str]:
    return [
        *([] if name.startswith('mae') else RESNET), *OWN.get(name, []),
        'train_cfg.max_epochs=2', f'train_dataloader.batch_size={batch_size}',
        'train_dataloader.num_workers=0', '+train_dataloader.drop_last=True',
        f'train_dataloader.dataset.data_root={data}', 'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.interval=1', 'default_hooks.learning_monitor.interval=1',
        f'default_hooks.learning_monitor.dataset.data_root={data}',
        'default_hooks.learning_monitor.dataset.ann_file=test.json',
    ]  # fmt: skip


def logged(work_dir: Path, key: str) -> list[float]:
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    lines = map(json.loads, file.read_text().splitlines())
    return [line[key] for line in lines if key in line]


@pytest.fixture(scope='module')
def data(toy_data: Path) -> Path:
    (toy_data / 'list.txt').write_text(''.join(f'image{i}.png\n' for i in range(16)))
    return toy_data


@pytest.mark.slow
@pytest.mark.parametrize('name', FILES)
def test_two_epochs_leave_losses_monitor_and_backbone(
    name: str, data: Path, tmp_path: Path, call: Callable
) -> None:
    call('train.py', FOLDER / f'{name}.py', '--work-dir', tmp_path, '--cfg-options', *options(name, data, 8))
    losses = logged(tmp_path, 'loss')
    assert len(losses) == 4
    assert all(map(math.isfinite, losses))
    assert len(logged(tmp_path, 'monitor/backbone_std')) == 3  # before, and after each epoch
    state = torch.load(tmp_path / 'backbone.pth', weights_only=True)['state_dict']
    assert state
    assert all(key.startswith('backbone.') for key in state)


@pytest.mark.slow
@pytest.mark.parametrize('name', GATHERING)
def test_two_processes_train_together(name: str, data: Path, tmp_path: Path) -> None:
    command = ['bash', 'tools/dist_train.sh', str(FOLDER / f'{name}.py'), '2', '--work-dir', str(tmp_path)]
    subprocess.run(
        [*command, '--cfg-options', *options(name, data, 4)], cwd=ROOT, check=True, timeout=600,
        env=dict(
            os.environ,
            PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
            OMP_NUM_THREADS='1',
            PORT='29617',
            CUDA_VISIBLE_DEVICES='',
        ),
    )  # fmt: skip
    losses = logged(tmp_path, 'loss')
    assert len(losses) == 4
    assert all(map(math.isfinite, losses))
