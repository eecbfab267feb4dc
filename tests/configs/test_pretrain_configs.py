"""The pretraining configs: published numbers, optimizer groups by name, one step at published size."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import DATASETS, MODELS
from torch import nn

from mammo.engine.launch import without_sync_bn

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
BARLOW = 'pretrain/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py'
BYOL = 'pretrain/byol_resnet50-exp2_coslr-120e_MMpatches.py'
SWAV = 'pretrain/swav_resnet50-exp2_mcrop-coslr-100e_MMpatches-224px-96px.py'
PUBLISHED = [BARLOW, BYOL, SWAV]
LEAVES = sorted([*CONFIGS.glob('pretrain/*.py'), *CONFIGS.glob('demo/*patches*.py')])
FILES = {
    BARLOW: 'barlowtwins_resnet50_8xb256-coslr-300e_in1k_20220825-57307488.pth',
    BYOL: 'byol_resnet50_16xb256-coslr-200e_in1k_20220825-de817331.pth',
    SWAV: 'swav_resnet50_8xb32-mcrop-2-6-coslr-200e_in1k-224-96_20220825-5b3fc7fc.pth',
}


def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


def model_of(cfg: Config) -> nn.Module:
    model = cfg.model.to_dict()
    model['backbone']['init_cfg'] = None
    return without_sync_bn(MODELS.build(model))


def test_published_names_and_their_twins_exist() -> None:
    assert {str(path.relative_to(CONFIGS)) for path in LEAVES} >= set(PUBLISHED)
    assert len([path for path in LEAVES if path.parent.name == 'demo']) == 3


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_leaf_is_a_delta(leaf: Path) -> None:
    text = leaf.read_text()
    assert len(text.splitlines()) <= 40
    assert '_base_' in text


def test_necks_and_predictor_have_the_published_sizes() -> None:
    shapes = {
        name: {
            key: tuple(p.shape)
            for key, p in model_of(load(name)).named_parameters()
            if 'target_net' not in key
        }
        for name in PUBLISHED
    }
    assert {k: v for k, v in shapes[BARLOW].items() if not k.startswith('backbone')} == {
        'neck.fc0.weight': (512, 1024), 'neck.bn0.weight': (512,), 'neck.bn0.bias': (512,),
        'neck.fc1.weight': (128, 512),
    }  # fmt: skip
    assert {k: v for k, v in shapes[BYOL].items() if not k.startswith('backbone')} == {
        'neck.fc0.weight': (512, 1024), 'neck.fc0.bias': (512,), 'neck.bn0.weight': (512,),
        'neck.bn0.bias': (512,), 'neck.fc1.weight': (128, 512),
        'head.predictor.fc0.weight': (512, 128), 'head.predictor.fc0.bias': (512,),
        'head.predictor.bn0.weight': (512,), 'head.predictor.bn0.bias': (512,),
        'head.predictor.fc1.weight': (128, 512),
    }  # fmt: skip
    swav = {k: v for k, v in shapes[SWAV].items() if not k.startswith('backbone')}
    assert swav['head.loss_module.prototypes.weight'] == (300, 128)
    assert swav['neck.projection_neck.0.weight'] == (512, 1024)
    assert swav['neck.projection_neck.3.weight'] == (128, 512)


def test_published_numbers_of_the_algorithms() -> None:
    barlow, byol, swav = (load(name) for name in PUBLISHED)
    assert barlow.model.head.loss.lambd == 0.0051
    assert byol.model.base_momentum == 0.01
    loss, hook = swav.model.head.loss, swav.default_hooks.swav
    assert (loss.epsilon, loss.temperature, loss.num_crops) == (0.05, 0.1, [2, 6])
    assert (hook.type, hook.queue_length, hook.epoch_queue_starts) == ('SwAVHook', 1280, 8)
    assert hook.frozen_layers_cfg.to_dict() == dict(prototypes=1200)
    assert swav.find_unused_parameters is True
    assert swav.train_dataloader.drop_last is True
    residuals = [cfg.model.backbone.zero_init_residual for cfg in (barlow, byol, swav)]
    assert residuals == [True, False, True]
    for name, cfg in zip(PUBLISHED, (barlow, byol, swav), strict=True):
        assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (256, 100)
        assert cfg.auto_scale_lr.base_batch_size == 512
        assert cfg.model.backbone.norm_cfg.type == 'SyncBN'
        assert cfg.model.backbone.get('frozen_stages', -1) == -1
        assert cfg.get('val_cfg') is None
        init_cfg = cfg.model.backbone.init_cfg
        assert init_cfg.checkpoint.rpartition('/')[2] == FILES[name]
        assert init_cfg.prefix == 'backbone'
        assert cfg.optim_wrapper.optimizer.to_dict() == dict(
            type='LARS', lr=0.6, momentum=0.9, weight_decay=1e-6
        )


def normal_layers(model: nn.Module) -> set[str]:
    """Names of the parameters that are no batch norm and no bias."""
    names = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            names.add(f'{name}.weight')
    return {name for name in names if 'target_net' not in name}


@pytest.mark.parametrize(('name', 'lr_mult'), [(BARLOW, 0.024), (BYOL, 1.0)])
def test_batch_norm_and_biases_alone_have_neither_decay_nor_lars(name: str, lr_mult: float) -> None:
    cfg = load(name)
    model = model_of(cfg)
    names = {id(p): key for key, p in model.named_parameters()}
    groups = {
        names[id(p)]: group
        for group in build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
        for p in group['params']
    }
    assert groups.keys() == {key for key, p in model.named_parameters() if p.requires_grad}
    excluded = {key for key, group in groups.items() if group.get('lars_exclude', False)}
    assert excluded == groups.keys() - normal_layers(model)
    assert {
        'backbone.bn1.weight', 'backbone.layer1.0.downsample.1.bias', 'backbone.block4.2.bn3.weight',
        'backbone.block2.0.downsample.1.weight', 'neck.bn0.bias',
    } <= excluded  # fmt: skip
    assert ({'neck.fc0.bias', 'head.predictor.fc0.bias', 'head.predictor.bn0.weight'} <= excluded) == (
        name == BYOL
    )
    for key, group in groups.items():
        expected = (0, 0.6 * lr_mult) if key in excluded else (1e-6, 0.6)
        assert (group['weight_decay'], group['lr']) == pytest.approx(expected), key


def test_swav_has_one_group_without_exceptions() -> None:
    cfg = load(SWAV)
    model = model_of(cfg)
    (group,) = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    assert len(group['params']) == len(list(model.parameters()))
    assert (group['lr'], group['weight_decay'], group['momentum']) == (0.6, 1e-6, 0.9)
    assert not group.get('lars_exclude', False)


def learning_rates(name: str, per_epoch: int = 4) -> np.ndarray:
    """Learning rate of each iteration of the 100 epochs, as the runner steps the schedule."""
    from mmengine.registry import PARAM_SCHEDULERS

    cfg = load(name)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.6)
    configs = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    schedulers = []
    for config in map(dict, configs):
        convert = config.pop('convert_to_iter_based', False)
        build = PARAM_SCHEDULERS.get(config.pop('type'))
        kwargs: dict[str, Any] = dict(optimizer=optimizer, **config)
        schedulers.append(
            build.build_iter_from_epoch(**kwargs, epoch_length=per_epoch) if convert else build(**kwargs)
        )
    rates = []
    for _ in range(100):
        for _ in range(per_epoch):
            rates.append(optimizer.param_groups[0]['lr'])
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return np.array(rates).reshape(100, per_epoch)


@pytest.mark.parametrize(('name', 'first', 'end'), [(BARLOW, 0.6 * 1.6e-4, 8e-4), (BYOL, 0.6 * 1e-4, 0.0)])
def test_learning_rate_warms_up_five_epochs_then_follows_a_cosine(
    name: str, first: float, end: float
) -> None:
    rates = learning_rates(name)
    assert rates[0, 0] == pytest.approx(first)
    assert np.diff(rates[:5].ravel()).min() > 0
    step = 4 if name == BARLOW else 1  # BYOL's cosine moves per epoch
    cosine = end + (0.6 - end) * (1 + np.cos(np.pi * np.arange(95 * step) / (95 * step))) / 2
    np.testing.assert_allclose(rates[5:, :step].ravel(), cosine, atol=1e-6)
    if step == 1:
        assert (np.ptp(rates[5:], axis=1) < 1e-12).all()


def test_swav_learning_rate_is_a_cosine_per_iteration() -> None:
    cosine = 6e-3 + (0.6 - 6e-3) * (1 + np.cos(np.pi * np.arange(400) / 400)) / 2
    np.testing.assert_allclose(learning_rates(SWAV).ravel(), cosine, atol=1e-6)


@pytest.fixture(scope='module')
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('patches')
    rng = np.random.default_rng(0)
    for i in range(4):
        cv2.imwrite(str(folder / f'{i}.png'), rng.integers(30, 200, (300, 300), dtype=np.uint8))
    (folder / 'list.txt').write_text(''.join(f'{i}.png\n' for i in range(4)))
    return folder


def test_environment_names_the_folder_of_patches(monkeypatch: pytest.MonkeyPatch, patches: Path) -> None:
    assert load(BARLOW).train_dataloader.dataset.data_root == 'data/patches/'
    monkeypatch.setenv('MAMMO_PATCHES', str(patches))
    for leaf in LEAVES:
        cfg = Config.fromfile(leaf)
        assert cfg.train_dataloader.dataset.data_root == str(patches)
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        assert len(dataset) == 4


@pytest.mark.parametrize(
    ('name', 'sizes'), [(BARLOW, [224] * 2), (BYOL, [224] * 2), (SWAV, [224] * 2 + [96] * 6)]
)
def test_views_have_the_published_number_and_size(patches: Path, name: str, sizes: list[int]) -> None:
    pipeline = Compose(load(name).train_dataloader.dataset.pipeline)
    views = pipeline(dict(img_path=str(patches / '0.png'), sample_idx=0))['inputs']
    assert [view.shape[-2:] for view in views] == [(size, size) for size in sizes]
    assert any(not torch.equal(views[0], view) for view in views[1:2])


def steps_of(view: list[dict]) -> list[tuple]:
    return [(t['type'], tuple(t.get('magnitude_range', ())), t.get('prob')) for t in view]


def test_views_are_augmented_as_published() -> None:
    grey = [
        ('AutoContrast', (), None), ('Brightness', (-0.5, 0.5), 0.5), ('Sharpness', (-0.5, 0.5), 0.5),
        ('Equalize', (), 0.5),
    ]  # fmt: skip
    crop, flip = ('RandomResizedCrop', (), None), ('RandomFlip', (), 0.5)
    for name in (BARLOW, BYOL):
        (view,) = load(name).train_dataloader.dataset.pipeline[1]['transforms']
        assert steps_of(view) == [crop, flip, *grey]
        assert tuple(view[0]['crop_ratio_range']) == (0.08, 1.0)
        assert (view[0]['interpolation'], view[0]['backend']) == ('bicubic', 'pillow')
    large, small = load(SWAV).train_dataloader.dataset.pipeline[1]['transforms']
    assert tuple(large[0]['crop_ratio_range']) == (0.25, 1.0)
    assert tuple(small[0]['crop_ratio_range']) == (0.1, 0.25)
    for view in (large, small):
        assert steps_of(view) == [crop, *grey, flip]
        assert view[0].get('interpolation', 'bilinear') == 'bilinear'


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_size_makes_one_step_on_cpu(name: str) -> None:
    """Published network and optimizer; views of 64 and 32 pixels, which no parameter depends on."""
    cfg = load(name)
    model = model_of(cfg).train()
    assert sum(p.numel() for p in model.backbone.parameters()) == 16_838_208
    MessageHub.get_current_instance().update_info('max_iters', 10)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    sizes = [64] * 2 + [32] * (6 if name == SWAV else 0)
    views = [torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8) for size in sizes]
    losses = model.train_step(dict(inputs=views, data_samples=[None] * 4), optim_wrapper)
    assert torch.isfinite(losses['loss'])
    changed = {key for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    assert {key for key in before if 'target_net' not in key} - changed == set()


def test_backbones_of_the_small_twins_fit_the_supervised_demo() -> None:
    demo = load('demo/full_breast_224x128_transformer.py').model.backbone.to_dict() | dict(init_cfg=None)
    wanted = {key: value.shape for key, value in MODELS.build(demo).state_dict().items()}
    for leaf in LEAVES:
        if leaf.parent.name == 'demo':
            state = model_of(Config.fromfile(leaf)).backbone.state_dict()
            assert {key: value.shape for key, value in state.items()} == wanted
