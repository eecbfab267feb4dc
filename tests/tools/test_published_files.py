"""Config files in the published form, whole files on '../default_runtime.py': they train and test."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmpretrain import get_model

from mammo.inference import Predictor

ROOT = Path(__file__).resolve().parents[2]
COMMON = """
_base_ = ['../default_runtime.py']
data_root = 'somewhere/else'
data_preprocessor = dict({preprocessor}mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb={rgb})
"""
SUPERVISED = """
policies = [
    dict(type='AutoContrast'), dict(type='Rotate', magnitude_range=(-20, 20)),
    dict(type='Brightness', magnitude_range=(-0.25, 0.25)), dict(type='Equalize', prob=0.5),
]
pack = {pack}
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandAugment', policies=policies, num_policies=3, magnitude_level=6, magnitude_std=0.5),
    pack,
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=64), pack]
loader = dict(batch_size=10, num_workers=0)
train_dataloader = dict(
    dataset=dict(type='{dataset}', data_root=data_root, ann_file='train.{ext}', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True), **loader,
)
val_dataloader = dict(
    dataset=dict(type='{dataset}', data_root=data_root, ann_file='val.{ext}', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False), **loader,
)
test_dataloader = dict(
    dataset=dict(type='{dataset}', data_root=data_root, ann_file='test.{ext}', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False), **loader,
)
val_evaluator = {evaluator}
test_evaluator = val_evaluator
model = dict(
    type='ImageTabClassifier',
    backbone=dict(
        type='ResNetWs', depth=50, num_stages=4, expansion=2, out_indices=(3,), style='pytorch',
        stem_channels=8, base_channels=8,
    ),
    neck={neck},
    head={head},
)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.001, eps=1e-8, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=35, norm_type=2),
)
param_scheduler = dict(type='StepLR', step_size=1, by_epoch=True, gamma=0.95)
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256)
log_processor = dict(window_size=20)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=100, log_metric_by_epoch=True),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, by_epoch=True, save_best='auto'),
)
log_level = 'DEBUG'
randomness = dict(seed=0, deterministic=False)
"""
SINGLE = dict(
    pack="dict(type='PackInputs')",
    dataset='MammoSingleTaskDataset',
    ext='txt',
    evaluator="[dict(type='BinaryCrossEntropy'), dict(type='AUC')]",
    neck="dict(type='GlobalAveragePooling')",
    head="dict(type='SingleLinearClsHead', num_classes=1, in_channels=128, loss_weight=1.0, "
    "loss=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0))",
)
MULTI = dict(
    pack="dict(type='MammoPackMultiTaskInputs', multi_task_fields=('gt_label',), task_handlers=dict("
    "N=dict(type='PackInputs', algorithm_keys=['clinic_vars']), tumor_size=dict(type='PackInputs')))",
    dataset='MammoMultiTaskDataset',
    ext='json',
    evaluator="dict(type='MultiTasksMetric', task_metrics=dict(N=[dict(type='BinaryCrossEntropy'), "
    "dict(type='AUC')], tumor_size=[dict(type='MSELoss'), dict(type='R2')]))",
    neck="dict(type='TransformerNeck', in_dims=128, out_dims=2, num_heads=2, head_dim=8, pooling_size=4, "
    'map_size=(2, 2), forward_layer=True, ff_hidden_layer=True, is_LSA=True)',
    head="dict(type='MultiTaskHead', task_heads=dict("
    "N=dict(num_classes=1, loss_weight=1.0, task_idx=0, type='LymphNodeClsHead', "
    "loss=dict(type='CrossEntropyLoss', use_sigmoid=True)), "
    "tumor_size=dict(num_classes=1, in_channels=1, task_idx=1, loss_weight=0.5, type='TsizeRegHead', "
    "loss=dict(type='MSELoss'))))",
)
PRETRAINING = """
view = [
    dict(type='RandomResizedCrop', scale=32, interpolation='bicubic', backend='pillow'),
    dict(type='AutoContrast'), dict(type='Brightness', magnitude_range=(-0.5, 0.5), prob=0.5),
    dict(type='Equalize', prob=0.5),
]
num_crops = [2, 2]
batch_size = 8
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=num_crops, transforms=[view, view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=batch_size, num_workers=1, drop_last=True, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True), collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset', data_root=data_root, ann_file='list.txt', with_label=False,
        pipeline=train_pipeline,
    ),
)
model = dict(
    type='SwAV',
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True),
    backbone=dict(
        type='ResNetWs', depth=50, expansion=2, norm_cfg=dict(type='SyncBN'), stem_channels=8, base_channels=8
    ),
    neck=dict(type='SwAVNeck', in_channels=128, hid_channels=16, out_channels=8, with_avg_pool=True),
    head=dict(type='SwAVHead', loss=dict(
        type='SwAVLoss', feat_dim=8, epsilon=0.05, temperature=0.1, num_crops=num_crops, num_prototypes=5)),
)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='LARS', lr=0.6, weight_decay=1e-6, momentum=0.9)
)
find_unused_parameters = True
param_scheduler = [dict(type='CosineAnnealingLR', T_max=2, eta_min=6e-3, by_epoch=True, begin=0, end=2,
                        convert_to_iter_based=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
log_processor = dict(window_size=100)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3))
custom_hooks = [dict(type='SwAVHook', priority='VERY_HIGH', batch_size=batch_size, epoch_queue_starts=1,
                     crops_for_assign=[0, 1], feat_dim=8, queue_length=16,
                     frozen_layers_cfg=dict(prototypes=1))]
"""


def published(folder: Path, text: str) -> Path:
    """The file, two folders below an alias of the published base."""
    (folder / 'configs/group').mkdir(parents=True)
    base = ROOT / 'configs/default_runtime.py'
    (folder / 'configs/default_runtime.py').write_text(f"_base_ = '{base}'\n")
    (folder / 'configs/group/file.py').write_text(text)
    return folder / 'configs/group/file.py'


@pytest.fixture(scope='module')
def data(toy_data: Path) -> Path:
    for split in ('train', 'val', 'test'):
        items = json.loads((toy_data / f'{split}.json').read_text())['data_list']
        lines = [f'{item["img_path"]} {float(item["gt_label"]["N"])}\n' for item in items]
        (toy_data / f'{split}.txt').write_text(''.join(lines))
    (toy_data / 'list.txt').write_text(''.join(f'image{i}.png\n' for i in range(16)))
    return toy_data


@pytest.mark.parametrize(('form', 'metric'), [(SINGLE, 'roc_auc'), (MULTI, 'N_roc_auc')])
def test_supervised_files_train_and_test(
    form: dict[str, str], metric: str, data: Path, tmp_path: Path, call: Callable
) -> None:
    file = published(tmp_path, COMMON.format(preprocessor='', rgb=False) + SUPERVISED.format(**form))
    roots = [f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val', 'test')]
    call('train.py', file, '--work-dir', tmp_path / 'work', '--cfg-options', *roots)
    call('test.py', file, tmp_path / 'work/epoch_2.pth', '--out', tmp_path / 'metrics.json', '--out-item',
         'metrics', '--work-dir', tmp_path / 'work', '--cfg-options', *roots)  # fmt: skip
    assert metric in json.loads((tmp_path / 'metrics.json').read_text())
    call('test.py', file, tmp_path / 'work/epoch_2.pth', '--out', tmp_path / 'p.json', '--work-dir',
         tmp_path / 'work', '--cfg-options', *roots)  # fmt: skip
    call('make_bundle.py', '--config', file, '--checkpoint', tmp_path / 'work/epoch_2.pth', '--out',
         tmp_path / 'bundle')  # fmt: skip
    predictor = Predictor.load(tmp_path / 'bundle', 'cpu')
    for record in json.loads((tmp_path / 'p.json').read_text())['records'][:3]:
        answer = predictor.predict({'L_CC': data / record['img_path']}, cropped_png=True)
        for task, score in answer.tasks.items():
            assert score.value == pytest.approx(record['tasks'][task]['pred_score'], abs=1e-5)


def test_a_checkpoint_with_the_history_of_mmengine_is_bundled_if_it_is_trusted(
    tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the published training saves it."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))  # trust ends here
    file = published(tmp_path, COMMON.format(preprocessor='', rgb=False) + SUPERVISED.format(**SINGLE))
    model = get_model(str(file), device='cpu')
    history = dict(log_scalars={'train/loss': HistoryBuffer([1.0], [1])})
    torch.save(dict(state_dict=model.state_dict(), message_hub=history), tmp_path / 'epoch.pth')
    command = [
        'make_bundle.py',
        '--config',
        file,
        '--checkpoint',
        tmp_path / 'epoch.pth',
        '--out',
        tmp_path / 'b',
    ]
    with pytest.raises(SystemExit):
        call(*command)
    told = capsys.readouterr().err
    assert 'mmengine.logging.history_buffer.HistoryBuffer' in told
    assert 'open it with --trust-checkpoint' in told
    call(*command, '--trust-checkpoint')
    assert (tmp_path / 'b/manifest.json').is_file()


def test_pretraining_file_trains(data: Path, tmp_path: Path, call: Callable) -> None:
    form = dict(preprocessor="type='SelfSupDataPreprocessor', ", rgb=True)
    file = published(tmp_path, COMMON.format(**form) + PRETRAINING)
    call('train.py', file, '--work-dir', tmp_path / 'work', '--cfg-options',
         f'train_dataloader.dataset.data_root={data}')  # fmt: skip
    state = torch.load(tmp_path / 'work/epoch_2.pth', weights_only=True)
    assert state['swav_queue'].shape == (2, 16, 8)  # our hook ran: the queue is in the checkpoint


def test_the_first_run_of_a_config_that_resumes_is_told_of_missing_start_weights(
    tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    form = dict(preprocessor="type='SelfSupDataPreprocessor', ", rgb=True)
    start = "init_cfg=dict(type='Pretrained', checkpoint='gone.pth', prefix='backbone'), stem_channels=8"
    text = (COMMON.format(**form) + PRETRAINING).replace('stem_channels=8', start) + 'resume = True\n'
    with pytest.raises(SystemExit):
        call('train.py', published(tmp_path, text), '--work-dir', tmp_path / 'work')
    assert 'model.backbone.init_cfg.checkpoint: gone.pth: no such file' in capsys.readouterr().err
