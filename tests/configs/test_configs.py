"""Every leaf config builds and runs forward; pipelines give the specified sizes; all names resolve."""

from pathlib import Path
from typing import Any

import cv2
import mmpretrain.registry as registries
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample, MultiTaskDataSample

import mammo.engine.scoring.metrics
import models

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LEAVES = sorted(
    path
    for path in CONFIGS.rglob('*.py')
    if path.parent.name in ('multi_task_SL', 'ROIs_N_SSL_evaluation', 'demo', 'mini_mias')
    and '_patches' not in path.stem  # pretraining: test_pretrain_configs.py
)
FULL = 'multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'
ROI = 'multi_task_SL/ROIs_resnet50-expan2_finetune_transformer_Aug3.py'
PUBLISHED_LEAVES = [
    FULL,
    ROI,
    'multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_DwiseresBlock_Aug3.py',
    'multi_task_SL/fullimage1793x1024_resnet50-expan2_barlowtwin_finetune_DwiseresBlock_Aug3.py',
    'multi_task_SL/ROIs_resnet50-expan2_finetune_DwiseresBlock_Aug3.py',
    'ROIs_N_SSL_evaluation/resnet50-expan2_SSL_finetune_Gap_Aug3_ep20.py',
    'ROIs_N_SSL_evaluation/resnet50-expan2_scratch_Gap_Aug3_ep100.py',
    'ROIs_N_SSL_evaluation/resnet50_SSL_finetune_Gap_Aug3_ep20.py',
    'ROIs_N_SSL_evaluation/resnet50_imagenet_finetune_Gap_Aug3_ep20.py',
]


def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


def without_checkpoints(model: dict) -> dict:
    model['backbone']['init_cfg'] = None
    return model


def sample_with(**labels: float) -> MultiTaskDataSample:
    sample = MultiTaskDataSample()
    for task, label in labels.items():
        task_sample = DataSample()
        task_sample.set_field(torch.tensor([label]), 'gt_label', dtype=torch.Tensor)
        sample.set_field(task_sample, task)
    return sample


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_leaf_builds_and_runs_forward_and_backward(leaf: Path) -> None:
    cfg = Config.fromfile(leaf)
    model = MODELS.build(without_checkpoints(cfg.model.to_dict()))
    tasks = [task['name'] for task in cfg.model.tasks] if cfg.model.get('tasks') else ['N']
    assert list(model.head.task_heads) == tasks
    n_views = getattr(model.neck, 'n_views', 1)
    images = torch.randn(2, 3, 128 * n_views, 96)  # positions are resampled to this
    losses = model.train()(images, [sample_with(**{tasks[0]: 1.0}), MultiTaskDataSample()], mode='loss')
    assert list(losses) == [f'{task}_loss' for task in tasks]
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    frozen = cfg.model.backbone.get('frozen_stages', -1) == 4
    assert all((p.grad is None) == frozen for p in model.backbone.parameters())
    assert any(p.grad is not None for p in model.head.parameters()) or model.neck is not None
    with torch.no_grad():
        predicted = model.eval()(images, mode='predict')
    assert all(torch.isfinite(sample.get(task).pred_score).all() for sample in predicted for task in tasks)


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_leaf_is_a_delta(leaf: Path) -> None:
    text = leaf.read_text()
    assert len(text.splitlines()) <= 40
    assert '_base_' in text


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_leaf_has_data_transforms_and_metrics_that_resolve(leaf: Path) -> None:
    cfg = Config.fromfile(leaf)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert registries.DATASETS.get(dataset.type) is not None
        for transform in dataset.pipeline:
            TRANSFORMS.build(transform)
    for split in ('val', 'test'):
        evaluators = cfg[f'{split}_evaluator']
        for metric in evaluators if isinstance(evaluators, list) else [evaluators]:
            registries.METRICS.build(metric)
    assert cfg.default_scope == 'mammo'
    assert cfg.custom_imports['imports'] == ['models', 'dataset', 'mammo.engine']


@pytest.mark.parametrize('name', PUBLISHED_LEAVES)
def test_published_config_names_exist(name: str) -> None:
    assert (CONFIGS / name).is_file()


def test_two_leaves_differ_unless_one_is_an_alias() -> None:
    contents = {leaf.stem: Config.fromfile(leaf).to_dict() for leaf in LEAVES}
    same = [(a, b) for a in contents for b in contents if a < b and contents[a] == contents[b]]
    assert all(a.replace('1792', '1793') == b for a, b in same)
    assert len(same) == 1


def test_alias_equals_its_twin() -> None:
    assert load(PUBLISHED_LEAVES[3]).to_dict() == load(PUBLISHED_LEAVES[2]).to_dict()


@pytest.mark.parametrize(
    ('registry', 'names'),
    [
        ('DATASETS', 'MammoMultiTaskDataset MammoSingleTaskDataset'),
        ('TRANSFORMS', 'MammoPackMultiTaskInputs'),
        (
            'MODELS',
            'ImageTabClassifier ResNetWs TransformerNeck DwiseConvResBlockPooling LymphNodeClsHead '
            'LVIClsHead MultifocalityClsHead NposRegHead TsizeRegHead '
            'SingleLinearClsHead MSELoss MultiTaskHead',
        ),
        ('METRICS', 'AUC BinaryCrossEntropy MSELoss R2 MultiTasksMetric'),
    ],
)
def test_published_names_resolve(registry: str, names: str) -> None:
    for name in names.split():
        assert models.registry.REGISTRIES[registry].get(name) is not None, name


def test_corrected_classes_replace_the_stock_ones() -> None:
    assert models.registry.MODELS.get('MultiTaskHead') is models.MultiTaskHead
    assert models.registry.METRICS.get('MultiTasksMetric') is mammo.engine.scoring.metrics.MultiTasksMetric


def test_supervised_schedule_is_the_published_one() -> None:
    for name in (FULL, ROI, *PUBLISHED_LEAVES[2:5]):
        cfg = load(name)
        assert cfg.optim_wrapper.optimizer.to_dict() == dict(type='AdamW', lr=1e-3, weight_decay=1e-3)
        assert cfg.optim_wrapper.clip_grad.max_norm == 35
        assert cfg.param_scheduler.to_dict() == dict(type='StepLR', by_epoch=True, step_size=1, gamma=0.95)
        assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (30, 72)
        assert cfg.auto_scale_lr.base_batch_size == 256
        assert cfg.model.backbone.frozen_stages == 4
        assert cfg.randomness.seed == 0
        assert 'epoch_80' in cfg.model.backbone.init_cfg.checkpoint


@pytest.mark.parametrize(
    ('name', 'epochs', 'lr', 'weight_decay', 'frozen', 'backbone'),
    [
        ('resnet50-expan2_SSL_finetune_Gap_Aug3_ep20', 20, 1e-3, 1e-4, 4, 'ResNetWs'),
        ('resnet50-expan2_scratch_Gap_Aug3_ep100', 100, 0.05, 1e-3, -1, 'ResNetWs'),
        ('resnet50_SSL_finetune_Gap_Aug3_ep20', 20, 1e-3, 1e-4, 4, 'ResNet'),
        ('resnet50_imagenet_finetune_Gap_Aug3_ep20', 20, 1e-3, 1e-4, 4, 'ResNet'),
    ],
)
def test_ssl_evaluation_schedules_are_the_published_ones(
    name: str, epochs: int, lr: float, weight_decay: float, frozen: int, backbone: str
) -> None:
    cfg = load(f'ROIs_N_SSL_evaluation/{name}.py')
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (epochs, 64)
    assert (cfg.optim_wrapper.optimizer.lr, cfg.optim_wrapper.optimizer.weight_decay) == (lr, weight_decay)
    assert cfg.optim_wrapper.get('clip_grad') is None
    assert cfg.model.backbone.get('frozen_stages', -1) == frozen
    assert cfg.model.backbone.type == backbone
    assert (cfg.model.backbone.get('init_cfg') is None) == ('scratch' in name)


def test_imagenet_evaluation_starts_from_the_published_file() -> None:
    init_cfg = load(PUBLISHED_LEAVES[8]).model.backbone.init_cfg
    assert init_cfg.checkpoint.endswith('/resnet50_8xb32_in1k_20210831-ea4938fc.pth')
    assert init_cfg.prefix.rstrip('.') == 'backbone'


def test_one_edited_list_changes_all_that_derives_from_the_tasks() -> None:
    cfg = load(FULL)
    tasks = [dict(name='Tumor size', kind='regression', loss_weight=0.5), dict(name='LNM', kind='binary')]
    cfg.merge_from_dict({'model.tasks': tasks})
    model = MODELS.build(without_checkpoints(cfg.model.to_dict()))
    assert model.neck.fc.out_features == 2
    assert list(model.head.task_heads) == ['Tumor size', 'LNM']


def test_published_tasks_weights_and_losses() -> None:
    model = MODELS.build(without_checkpoints(load(FULL).model.to_dict()))
    heads = {
        task: (head.kind, head.task_idx, head.loss_weight) for task, head in model.head.task_heads.items()
    }
    assert heads == dict(
        N=('binary', 0, 1.0), LVI=('binary', 1, 0.5), multifocality=('binary', 2, 0.5),
        NumPos=('regression', 3, 0.5), tumor_size=('regression', 4, 0.5),
    )  # fmt: skip


def test_published_sizes_at_full_size() -> None:
    model = MODELS.build(without_checkpoints(load(FULL).model.to_dict()))
    assert sum(p.numel() for p in model.backbone.parameters()) == 16_838_208
    assert sum(p.numel() for p in model.neck.parameters()) == 4_505_613
    dwise = MODELS.build(without_checkpoints(load(PUBLISHED_LEAVES[2]).model.to_dict()))
    assert sum(p.numel() for p in dwise.neck.parameters()) == 536_837
    assert (
        len(MODELS.build(load(PUBLISHED_LEAVES[4]).model.neck.to_dict() | dict(out_channels=5)).res_blocks)
        == 1
    )


@pytest.fixture(scope='module')
def breast_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A noisy image of 900 x 500 pixels whose right half is dark."""
    image = np.random.default_rng(0).integers(60, 200, (900, 500), dtype=np.uint8)
    image[:, 250:] //= 20
    path = str(tmp_path_factory.mktemp('breast') / 'a.png')
    cv2.imwrite(path, image)
    return path


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize(('name', 'size'), [(FULL, (1792, 1024)), (ROI, (500, 500))])
def test_pipelines_give_the_specified_size(breast_file: str, name: str, size: tuple, split: str) -> None:
    cfg = load(name)
    pipeline = Compose(cfg[f'{split}_dataloader'].dataset.pipeline)
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    np.random.seed(0)
    for _ in range(1 if size[0] > 500 else 4):
        packed = pipeline(dict(img_path=breast_file, img_name='a.png', gt_label={'N': 1.0}))
        inputs = packed['inputs'][None]
        assert inputs.dtype == torch.uint8
        assert inputs.shape == (1, 1, *size)  # height, width
        images = preprocessor(dict(inputs=inputs, data_samples=[packed['data_samples']]))['inputs']
        assert images.shape == (1, 3, *size)  # what the network sees
        for channel in range(3):
            assert torch.equal(images[0, channel], (inputs[0, 0] - 127.5) / 127.5)


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_training_and_test_images_have_one_size(breast_file: str, leaf: Path) -> None:
    cfg = Config.fromfile(leaf)
    sizes = []
    for split in ('train', 'test'):
        steps = [t for t in cfg[f'{split}_dataloader'].dataset.pipeline if t['type'] != 'RandAugment']
        item = dict(img_path=breast_file, img_name='a.png', gt_label={})
        n_views = cfg[f'{split}_dataloader'].dataset.get('n_views', 1)
        packed = Compose(steps)(item | dict(views=[item] * n_views))
        sizes.append(tuple(packed['inputs'].shape))
    assert sizes[0] == sizes[1]


def pipeline_of(name: str, split: str, kind: str) -> dict[str, Any]:
    (step,) = [t for t in load(name)[f'{split}_dataloader'].dataset.pipeline if t['type'] == kind]
    return step


def test_random_crops_have_the_published_area_and_shape() -> None:
    """Aspect ratio is width / height, area a share of the image; read off the crop itself."""
    crop = TRANSFORMS.build(dict(pipeline_of(FULL, 'train', 'RandomResizedCrop')))
    image = np.zeros((2000, 1100), np.uint8)
    np.random.seed(0)
    boxes = [crop.rand_crop_params(image) for _ in range(300)]
    widths, heights = np.array([box[3] for box in boxes]), np.array([box[2] for box in boxes])
    areas, aspects = widths * heights / image.size, widths / heights
    assert areas.min() > 0.49
    assert areas.max() < 0.91
    assert aspects.min() > 0.49
    assert aspects.max() < 0.76
    assert np.ptp(areas) > 0.3
    assert np.ptp(aspects) > 0.2


def test_roi_crops_have_the_published_area_and_default_shape() -> None:
    crop = TRANSFORMS.build(dict(pipeline_of(ROI, 'train', 'RandomResizedCrop')))
    assert tuple(crop.crop_ratio_range) == (0.5, 1.0)
    assert tuple(crop.aspect_ratio_range) == pytest.approx((3 / 4, 4 / 3))


@pytest.mark.parametrize('name', [FULL, ROI])
def test_random_augmentation_is_the_published_one(name: str) -> None:
    step = pipeline_of(name, 'train', 'RandAugment')
    assert (step['num_policies'], step['magnitude_level'], step['magnitude_std']) == (3, 6, 0.5)
    policies = {policy['type']: policy for policy in step['policies']}
    assert list(policies) == ['AutoContrast', 'Rotate', 'Brightness', 'Sharpness', 'Equalize']
    assert tuple(policies['Rotate']['magnitude_range']) == (-20, 20)
    for kind in ('Brightness', 'Sharpness'):
        assert tuple(policies[kind]['magnitude_range']) == (-0.25, 0.25)
    assert policies['Equalize']['prob'] == 0.5
    flip = pipeline_of(name, 'train', 'RandomFlip')
    assert (flip['prob'], flip['direction']) == (0.5, 'horizontal')


def test_rotation_fills_corners_with_background() -> None:
    policies = {p['type']: p for p in pipeline_of(FULL, 'train', 'RandAugment')['policies']}
    rotate = TRANSFORMS.build(
        {k: v for k, v in policies['Rotate'].items() if k != 'magnitude_range'} | dict(angle=20.0, prob=1.0)
    )
    image = rotate(dict(img=np.full((60, 60, 3), 200, np.uint8)))['img']
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[30, 30].tolist() == [200, 200, 200]
