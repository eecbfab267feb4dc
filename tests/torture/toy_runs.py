"""Training runs of a few seconds on phantom images, one per method.

folder -> data, and the command line of each method that trains in a work dir
"""

from pathlib import Path

import cv2
import numpy as np

from mammo.phantoms.drawing import render_view
from mammo.records.meta import write_meta
from mammo.records.storage.files import write_text
from tests.torture.fork import ROOT

N_IMAGES = 16
COMMON = """
_base_ = '{root}/configs/demo/{base}'
train_cfg = dict(max_epochs=4)
hooks = {{key: value for key, value in _base_.default_hooks.items() if key != 'curves'}}
hooks['checkpoint'].update(interval=1, max_keep_ckpts=2)
"""
SUPERVISED = """
pipeline = [
    dict(type='LoadMammogram'),
    dict(type='RandomResizedCrop', scale=(96, 64), crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='MammoPackMultiTaskInputs'),
]
model = dict(backbone=dict(stem_channels=8, base_channels=8), neck=dict(in_dims=128, map_size=(3, 2)))
custom_hooks = [dict(type='EMAHook')]
test_pipeline = [pipeline[0], dict(type='Resize', scale=(64, 96)), pipeline[3]]
loader = dict(batch_size=4, num_workers=0)
train_dataloader = dict(
    dataset=dict(data_root='{data}', pipeline=pipeline), batch_size=4, num_workers=1, persistent_workers=False
)
val_dataloader = dict(dataset=dict(data_root='{data}', pipeline=test_pipeline), **loader)
test_dataloader = dict(dataset=dict(data_root='{data}', pipeline=test_pipeline), **loader)
"""
PRETRAINING = """
model = dict(
    backbone=dict(stem_channels=8, base_channels=8),
    neck=dict(in_channels=128, hid_channels=32, out_channels=16),
)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}')
)
"""
HOOKS = 'default_hooks = dict(_delete_=True, **hooks)\n'
EXTRA = dict(
    barlowtwins='model.update(head=dict(in_channels=16))\n',
    byol='model.update(head=dict(predictor=dict(in_channels=16, hid_channels=32, out_channels=16)))\n',
    swav=(
        'model.update(head=dict(loss=dict(feat_dim=16)))\n'
        "hooks['swav'].update(epoch_queue_starts=1, queue_length=8, frozen_layers_cfg=dict(prototypes=3))\n"
    ),
)
BASES = dict(
    supervised='full_breast_224x128_transformer.py',
    barlowtwins='barlowtwins_64px_patches.py',
    byol='byol_64px_patches.py',
    swav='swav_64px_32px_patches.py',
)


def write_runs(folder: Path) -> dict[str, Path]:
    """Write images, meta files, list.txt, fusion set and configs -> config by method."""
    data = folder / 'data'
    data.mkdir(parents=True)
    rng = np.random.default_rng(0)
    items = []
    for i in range(N_IMAGES):
        image = np.uint8(255 * render_view(rng, (96, 64), 'CC', 0.0, None)[0])
        cv2.imwrite(f'{data}/{i}.png', image)
        cv2.imwrite(f'{data}/patch{i}.png', image[16:80])  # 64 x 64
        labels = dict(
            N=i % 2, LVI=i // 2 % 2, multifocality=i // 4 % 2, NumPos=i % 5, tumor_size=i / N_IMAGES
        )
        items.append(dict(img_path=f'{i}.png', patient_id=f'p{i}', gt_label=labels))
    for split, part in dict(train=items[:8], val=items[8:12], test=items[9:]).items():
        write_meta(data / f'{split}.json', part, list(labels))
    write_text(data / 'list.txt', ''.join(f'patch{i}.png\n' for i in range(N_IMAGES)))
    for split in ('train', 'val', 'test'):
        x = rng.normal(size=(60, 4))
        np.save(data / f'{split}_x_preope.npy', x)
        np.save(data / f'{split}_y.npy', (x[:, 0] + rng.normal(size=60) > 0).astype(float))
        np.save(data / f'{split}_fortnr.npy', np.array([f'{split}{i}' for i in range(60)]))
    configs = {}
    for method, base in BASES.items():
        text = COMMON + (PRETRAINING + EXTRA[method] if method in EXTRA else SUPERVISED) + HOOKS
        configs[method] = folder / f'{method}.py'
        write_text(configs[method], text.format(root=ROOT, base=base, data=data))
    return configs


FINAL = dict(mlp='checkpoint.pth')  # of the others: epoch_4.pth


def train_command(method: str, folder: Path, name: str) -> list[str]:
    """The command line that starts a method's run, or goes on with it; mlp.py starts anew."""
    work_dir = str(folder / name)
    if method == 'mlp':
        options = ['--mode', 'clinical-only', '--members', '8', '--max-epoch', '60']
        return ['mlp.py', '--data-root', str(folder / 'data'), '--work-dir', work_dir, *options]
    return ['tools/train.py', str(folder / f'{method}.py'), '--work-dir', work_dir, '--resume']
