"""tools/cache_features.py and training from its maps: as from images, in whole checkpoints."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from dataset.cache.maps import CacheError, FeatureCache
from dataset.cache.training import LoadCachedMap, backbone_of, cached_config
from tests.support.toy_config import write_config

ROOT = Path(__file__).resolve().parents[2]
NECKS = dict(
    transformer='',
    dwise="neck=dict(_delete_=True, type='DwiseConvResBlockPooling', in_channels=128), ",
)
FLIP = "dict(type='RandomFlip', prob=0.5, direction='horizontal'),"


def config_file(folder: Path, data: Path, neck: str = 'transformer') -> Path:
    """A frozen, random backbone; training flips images."""
    path = write_config(folder / f'{neck}.py', data)
    text = path.read_text().replace(
        'neck=dict(in_dims=128, map_size=(3, 2))', NECKS[neck] + 'neck=dict(in_dims=128, map_size=(3, 2))'
        if neck == 'transformer' else NECKS[neck].rstrip(', '))  # fmt: skip
    text = text.replace('base_channels=8)', 'base_channels=8, frozen_stages=4)')
    text += f"""
train_dataloader['dataset']['pipeline'] = [pipeline[0], {FLIP} *pipeline[1:]]
"""
    path.write_text(text)
    return path


@pytest.fixture(scope='module')
def cached(toy_data: Path, tmp_path_factory: pytest.TempPathFactory, call) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp('cached')
    config = config_file(folder, toy_data)
    for views in (0, 3):
        call('cache_features.py', config, '--views', views, '--out', folder / f'k{views}')
    return dict(config=config, none=folder / 'k0', three=folder / 'k3')


def validation(cfg: Config, work_dir: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """Train for two epochs -> validation metrics, weights of the last checkpoint."""
    cfg = Config(cfg.to_dict())
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir.parent.name}_{work_dir.name}'
    RUNNERS.build(cfg).train()
    (log,) = work_dir.rglob('scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    metrics = [{k: v for k, v in line.items() if 'time' not in k} for line in lines if 'N_roc_auc' in line]
    last = torch.load(work_dir / f'epoch_{cfg.train_cfg.max_epochs}.pth', weights_only=True)
    return metrics, last['state_dict']


@pytest.mark.parametrize('neck', NECKS)
def test_without_views_validation_is_exactly_that_without_a_cache(
    neck: str, toy_data: Path, tmp_path: Path, call
) -> None:
    file = config_file(tmp_path, toy_data, neck)
    call('cache_features.py', file, '--views', 0, '--out', tmp_path / 'cache')
    plain = Config.fromfile(file)
    plain.train_dataloader.dataset.pipeline = plain.test_dataloader.dataset.pipeline
    plain.train_dataloader.num_workers = 0
    plain.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'cache/backbone.pth'))
    from_maps, weights = validation(cached_config(plain, tmp_path / 'cache'), tmp_path / 'maps')
    from_images, expected = validation(plain, tmp_path / 'images')
    assert from_maps == from_images
    assert len(from_maps) == 2
    assert from_maps[0]['N_loss'] != from_maps[1]['N_loss']  # it learned something
    assert weights.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, atol=1e-6, rtol=0)


def test_maps_of_the_breast_alone_are_learned_from_as_their_images(
    toy_data: Path, tmp_path: Path, call
) -> None:
    data = tmp_path / 'data'
    shutil.copytree(toy_data, data)
    for path in data.rglob('*.png'):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        image[image.shape[0] // 2 :] = 0
        cv2.imwrite(str(path), image)
    file = config_file(tmp_path, data)
    file.write_text(file.read_text() + "model['neck']['breast_margin'] = 0\n")
    call('cache_features.py', file, '--views', 0, '--out', tmp_path / 'cache')
    cache = FeatureCache(tmp_path / 'cache')
    empty = (cache.read('plain', cache.about['plain'][0], 0) == 0).all(axis=0)
    assert empty.any()
    assert not empty.all()
    cfg = Config.fromfile(file)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'cache/backbone.pth'))
    from_maps, _ = validation(cached_config(cfg, tmp_path / 'cache'), tmp_path / 'maps')
    cfg.train_dataloader.dataset.pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.train_dataloader.num_workers = 0
    from_images, _ = validation(cfg, tmp_path / 'images')
    assert from_maps == from_images
    del cfg.model.neck['breast_margin']
    with pytest.raises(CacheError, match='breast_margin: cached 0, now None'):
        cached_config(cfg, tmp_path / 'cache')


def test_maps_of_several_views_are_learned_from_as_their_images(toy_data: Path, tmp_path: Path, call) -> None:
    """CC and MLO of a breast as one sample; of two patients one is missing."""
    config = config_file(tmp_path, toy_data)
    with config.open('a') as file:
        file.write(f"""
pair = [dict(type='LoadViews', transforms=pipeline[:-1]), pipeline[-1]]
for part, loader in dict(train=train_dataloader, val=val_dataloader, test=test_dataloader).items():
    about = dict(type='MammoMultiViewDataset', pipeline=pair, ann_file=f'{tmp_path}/{{part}}.json')
    loader['dataset'].update(about)
model['neck'].update(type='MultiViewTransformerNeck')
""")
    for part in ('train', 'val', 'test'):
        meta = json.loads((toy_data / f'{part}.json').read_text())
        for item in meta['data_list'][:-1]:
            item['gt_label'].pop('LVI', None)  # differs between the views
        meta['data_list'] = meta['data_list'][:-1]
        (tmp_path / f'{part}.json').write_text(json.dumps(meta))
    call('cache_features.py', config, '--views', 0, '--out', tmp_path / 'cache')
    names, files = (FeatureCache(tmp_path / 'cache').about[key] for key in ('plain', 'files'))
    assert [name.count('+') for name in names] == [1] * 9 + [0] + ([1] * 3 + [0]) * 2
    assert len(files) == 19 + 7 + 7  # each image is watched
    cfg = Config.fromfile(config)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'cache/backbone.pth'))
    from_maps, _ = validation(cached_config(cfg, tmp_path / 'cache'), tmp_path / 'maps')
    from_images, _ = validation(cfg, tmp_path / 'images')
    assert from_maps == from_images


def test_maps_made_for_a_neck_without_a_pool_serve_the_transformer_as_its_own(
    toy_data: Path, tmp_path: Path, call
) -> None:
    files = {neck: config_file(tmp_path, toy_data, neck) for neck in NECKS}
    for neck, file in files.items():
        call('cache_features.py', file, '--views', 2, '--out', tmp_path / neck)
    cfg = Config.fromfile(files['transformer'])
    runs = [validation(cached_config(cfg, tmp_path / neck), tmp_path / f'run_{neck}') for neck in NECKS]
    for ours, theirs in zip(runs[0][0], runs[1][0], strict=True):
        assert ours == pytest.approx(theirs, abs=2e-3)  # views are float16, before or after the pool
    with pytest.raises(CacheError, match=r'neck: cached .*TransformerNeck.* now None'):
        cached_config(Config.fromfile(files['dwise']), tmp_path / 'transformer')


def test_a_checkpoint_of_cached_training_is_tested_on_images(
    cached: dict[str, Path], tmp_path: Path, call
) -> None:
    cfg = cached_config(Config.fromfile(cached['config']), cached['three'])
    metrics, _ = validation(cfg, tmp_path / 'work')
    cfg.dump(tmp_path / 'cached.py')
    results = []
    for name, config in dict(images=cached['config'], maps=tmp_path / 'cached.py').items():
        out, checkpoint = tmp_path / f'{name}.json', tmp_path / 'work' / 'epoch_2.pth'
        call('test.py', config, checkpoint, '--out', out, '--out-item', 'metrics',
             '--work-dir', tmp_path / name,
             '--cfg-options', 'test_dataloader.dataset.ann_file=val.json')  # fmt: skip
        results.append(json.loads(out.read_text()))
    assert results[0]['N_loss'] == pytest.approx(metrics[-1]['N_loss'], abs=1e-5)
    assert results[1]['N_loss'] == pytest.approx(metrics[-1]['N_loss'], abs=1e-7)


def test_epoch_e_sees_view_e_mod_k_of_each_image(
    cached: dict[str, Path], tmp_path: Path, monkeypatch
) -> None:
    cfg = cached_config(Config.fromfile(cached['config']), cached['three'])
    cfg.train_cfg.max_epochs = 4
    seen = []
    read = FeatureCache.read
    monkeypatch.setattr(FeatureCache, 'read', lambda self, *where: seen.append(where) or read(self, *where))
    validation(cfg, tmp_path / 'work')
    of_image = [view for kind, name, view in seen if (kind, name) == ('views', 'image0.png')]
    assert of_image == [0, 1, 2, 0]
    assert {kind for kind, name, _ in seen if name == 'image20.png'} == {'plain'}  # validation


def test_views_differ_and_depend_on_seed_image_and_view_only(
    cached: dict[str, Path], toy_data: Path, tmp_path: Path, call
) -> None:
    whole = FeatureCache(cached['three'])
    views = np.stack([whole.read('views', f'image{i}.png', k) for i in range(20) for k in range(3)])
    assert len({view.tobytes() for view in views}) > 25  # a flip gives two of each image
    part = json.loads((toy_data / 'train.json').read_text())
    part['data_list'] = part['data_list'][7:9]
    (tmp_path / 'part.json').write_text(json.dumps(part))
    options = ['--ann-file', tmp_path / 'part.json', '--cfg-options', 'train_dataloader.batch_size=1']
    for seed in (0, 1):
        call('cache_features.py', cached['config'], '--views', 3, '--out', tmp_path / f'{seed}',
             '--seed', seed, *options)  # fmt: skip
    for name in ('image7.png', 'image8.png'):
        for k in range(3):
            again = FeatureCache(tmp_path / '0').read('views', name, k)
            np.testing.assert_allclose(again, whole.read('views', name, k), atol=2e-3)
        assert FeatureCache(tmp_path / '0').read('plain', name, 0).shape == again.shape
    assert (tmp_path / '0/views.npy').read_bytes() != (tmp_path / '1/views.npy').read_bytes()


def test_stopped_caching_goes_on_and_mends_damage(
    cached: dict[str, Path], tmp_path: Path, call, capsys
) -> None:
    command = ['cache_features.py', cached['config'], '--views', 3, '--out', tmp_path / 'c']
    call(*command)
    before = {path.name: path.read_bytes() for path in (tmp_path / 'c').glob('*.npy')}
    sums = np.load(tmp_path / 'c/views_checksum.npy', mmap_mode='r+')
    sums[5:, 1:] = 0  # as a kill leaves it
    sums.flush()
    maps = np.load(tmp_path / 'c/plain.npy', mmap_mode='r+')
    maps[3, 0, 0, 0, 0] += 1
    maps.flush()
    cache = FeatureCache(tmp_path / 'c')
    with pytest.raises(CacheError, match=r'views map 2 of image19.png is unfinished or damaged'):
        cache.read('views', 'image19.png', 2)
    with pytest.raises(CacheError, match=r'plain map 0 of image23.png is unfinished or damaged'):
        cache.read('plain', 'image23.png', 0)
    call(*command)
    assert {path.name: path.read_bytes() for path in (tmp_path / 'c').glob('*.npy')} == before


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('test_dataloader.dataset.pipeline.1.scale', (128, 96), 'pipelines of val_dataloader and test'),
        ('train_dataloader.dataset.pipeline.1.prob', 0.1, 'stale, 1 things differ .*train_pipeline'),
        ('model.neck.pooling_size', 1, 'stale.*neck'),
        ('model.neck.breast_margin', 0, 'stale, 1 things differ .*breast_margin: cached None, now 0'),
        ('model.backbone.init_cfg', 'other', 'stale.*backbone_sha256'),
    ],
)
def test_a_cache_of_other_settings_is_refused(
    cached: dict[str, Path], key: str, value: Any, message: str, tmp_path: Path
) -> None:
    cfg = Config.fromfile(cached['config'])
    if value == 'other':
        state = torch.load(cached['three'] / 'backbone.pth', weights_only=True)['state_dict']
        state['conv1.weight'] *= 2
        torch.save(dict(state_dict=state), tmp_path / 'other.pth')
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'other.pth'))
    else:
        cfg.merge_from_dict({key: value})
    with pytest.raises(CacheError, match=message):
        cached_config(cfg, cached['three'])


@pytest.mark.parametrize(
    'settings',
    [
        dict(init_cfg=dict(type='Pretrained', checkpoint='whole.pth')),
        dict(pretrained='whole.pth'),
        dict(data_preprocessor=dict(batch_augments=dict(augments=dict(type='Mixup', alpha=1.0)))),
    ],
)
def test_what_the_maps_would_not_follow_is_refused(cached: dict[str, Path], settings: dict) -> None:
    cfg = Config.fromfile(cached['config'])
    cfg.merge_from_dict(dict(model=settings))
    with pytest.raises(
        CacheError, match=r'a cache would not follow; give weights in model.backbone.init_cfg'
    ):
        backbone_of(cfg)


def test_a_changed_image_a_learning_backbone_and_an_unknown_image_are_refused(
    cached: dict[str, Path], toy_data: Path, tmp_path: Path, call, capsys
) -> None:
    about = json.loads((cached['none'] / 'cache.json').read_text())
    about['files']['image21.png'][0] += 1
    copy = tmp_path / 'copy'
    copy.mkdir()
    for path in cached['none'].iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / 'cache.json').write_text(json.dumps(about))
    with pytest.raises(CacheError, match=r'stale.*image21.png'):
        cached_config(Config.fromfile(cached['config']), copy)
    with pytest.raises(CacheError, match=r'none: no feature cache; make one with tools/cache_features.py'):
        LoadCachedMap(str(tmp_path / 'none'))
    with pytest.raises(CacheError, match=r'other.png has no plain map'):
        FeatureCache(cached['none']).read('plain', 'other.png', 0)
    with pytest.raises(SystemExit) as end:
        call('cache_features.py', cached['config'], '--views', 1, '--out', tmp_path / 'x',
             '--cfg-options', 'model.backbone.frozen_stages=3')  # fmt: skip
    assert end.value.code == 2
    assert 'model.backbone learns (block4' in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        call('cache_features.py', cached['config'], '--views', 2, '--out', cached['three'])
    assert end.value.code == 2
    assert 'num_views: cached 3, now 2' in capsys.readouterr().err
