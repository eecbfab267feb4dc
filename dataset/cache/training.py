"""Training of necks from cached maps of a frozen backbone.

config, cache folder -> config whose datasets load maps in the place of images
"""

import hashlib
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import CheckpointLoader, Runner
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch import nn

from dataset.cache.maps import CacheError, FeatureCache, check_same, fingerprints
from mammo.engine.checks.data import items_of
from models.registry import MODELS

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@TRANSFORMS.register_module()
class LoadCachedMap(BaseTransform):
    """Load the map of an image: img_name -> img (C, h, w) float32.

    Args:
        cache: folder that ``tools/cache_features.py`` has made.
        views: load view ``epoch % K`` of the training pipeline, not the plain map.
    """

    def __init__(self, cache: str, views: bool = False) -> None:
        self.cache = FeatureCache(cache)
        self.views = views
        self.epoch = 0  # set by CachedViewHook

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The map of an image, (C, h, w), in place of its pixels; training takes its views in turn."""
        view = self.epoch % self.cache.num_views if self.views else 0
        values = self.cache.read('views' if self.views else 'plain', results['img_name'], view)
        shape = values.shape[1:]
        return dict(results, img=torch.from_numpy(values), img_shape=shape, ori_shape=shape)


@HOOKS.register_module()
class CachedViewHook(Hook):
    """Tells the training set which epoch it is, so that each epoch sees another view."""

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the loader of maps which epoch it is, so that the next view comes."""
        for transform in runner.train_dataloader.dataset.pipeline.transforms:
            if isinstance(transform, LoadCachedMap):
                transform.epoch = runner.epoch


@FUNCTIONS.register_module()
def cached_config(cfg: Config, cache_dir: str) -> Config:
    """The config with maps in the place of images; checkpoints stay those of the whole model.

    Maps that were made for a neck without a pool are those of the backbone, and serve every neck.

    Raises:
        CacheError: the cache is missing or stale, or the backbone is not frozen.
    """
    cache = FeatureCache(cache_dir)
    cfg = Config(cfg.to_dict(), filename=cfg.filename)
    unpooled = cache.about['settings']['neck'] is None
    settings = settings_of(cfg, cache.num_views) | (dict(neck=None) if unpooled else {})
    if has_given_weights(cfg):
        settings['backbone_sha256'] = module_sha256(backbone_of(cfg))
    for key in LOADERS:
        if cfg.get(key):
            dataset = DATASETS.build({**cfg[key].dataset, 'pipeline': []})
            files = fingerprints(paths_of(dataset))
            check_same(cache.folder, cache.about, dict(settings=settings, files=files))
            views = key == 'train_dataloader' and cache.num_views > 0
            loader = dict(type='LoadCachedMap', cache=str(cache.folder), views=views)
            cfg[key].dataset.pipeline = [loader, cfg[key].dataset.pipeline[-1]]
            cfg[key].update(num_workers=0, persistent_workers=False)
    weights = dict(type='Pretrained', checkpoint=str(cache.folder / 'backbone.pth'))
    cfg.model.backbone.init_cfg = weights  # those that made the maps, also where they were random
    cfg.model.from_maps = True
    cfg.model.data_preprocessor = dict(type='ClsDataPreprocessor')  # no mean: maps stay as they are
    if cfg.model.get('neck') and not unpooled:
        cfg.model.neck.update(getattr(MODELS.get(cfg.model.neck.type), 'if_pooled', {}))
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='CachedViewHook')]
    return cfg


def settings_of(cfg: Config, num_views: int) -> dict[str, Any]:
    """What maps depend on, beside weights and images.

    Raises:
        CacheError: validation and test do not see images through one pipeline.
    """
    pipelines = [cfg[key].dataset.pipeline for key in LOADERS]
    if pipelines[1] != pipelines[2]:
        raise CacheError('the pipelines of val_dataloader and test_dataloader differ; a plain map is of one')
    left_out = ('init_cfg', 'frozen_stages')
    backbone = {key: value for key, value in cfg.model.backbone.to_dict().items() if key not in left_out}
    neck = cfg.model.get('neck') or {}
    pools = neck and hasattr(MODELS.get(neck['type']), 'if_pooled')
    n_views = cfg.test_dataloader.dataset.get('n_views', 1)  # of a sample
    several = dict(n_views=n_views) if n_views > 1 else {}
    return several | dict(
        num_views=num_views,
        backbone=backbone,
        neck={key: neck.get(key) for key in ('type', 'pooling_size')} if pools else None,
        breast_margin=neck.get('breast_margin'),
        data_preprocessor=cfg.model.data_preprocessor.to_dict(),
        train_pipeline=pipelines[0] if num_views else None,
        test_pipeline=pipelines[2],
    )


def paths_of(dataset: Any) -> dict[str, str]:
    """Path by name of the images of a dataset, each of several views by itself."""
    return {item['img_name']: item['img_path'] for item in items_of(dataset)}


def has_given_weights(cfg: Config) -> bool:
    """Whether the backbone of a config starts from a checkpoint, so that its maps mean something."""
    return bool(cfg.get('load_from') or cfg.model.backbone.get('init_cfg'))


def backbone_of(cfg: Config) -> nn.Module:
    """The frozen backbone of a config with the weights it trains with.

    Raises:
        CacheError: it is not frozen.
    """
    elsewhere = [key for key in ('pretrained', 'init_cfg') if cfg.model.get(key)]
    elsewhere += [key for key in ('batch_augments',) if (cfg.model.get('data_preprocessor') or {}).get(key)]
    if elsewhere:
        raise CacheError(
            f'the config sets {elsewhere} of model or its data_preprocessor, which a cache would not follow; '
            'give weights in model.backbone.init_cfg or load_from, and leave batch_augments out'
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.randomness.get('seed') or 0)
        backbone = MODELS.build(cfg.model.backbone)
        backbone.init_weights()
    learning = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    if learning and not cfg.model.get('frozen_backbone'):
        raise CacheError(
            f'model.backbone learns ({learning[0]} and {len(learning) - 1} more parameters); only maps of a '
            'frozen backbone can be cached: set model.frozen_backbone=True, or frozen_stages to all stages'
        )
    if cfg.get('load_from'):
        state = CheckpointLoader.load_checkpoint(cfg.load_from, 'cpu')['state_dict']
        start = 'backbone.'
        backbone.load_state_dict({k[len(start) :]: v for k, v in state.items() if k.startswith(start)})
    return backbone


def module_sha256(module: nn.Module) -> str:
    """Hash of a module's weights and statistics; counts of training batches aside."""
    digest = hashlib.sha256()
    for key, value in module.state_dict().items():
        if not key.endswith('num_batches_tracked'):
            digest.update(key.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()
