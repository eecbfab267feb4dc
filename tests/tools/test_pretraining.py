"""Pretraining runs: one and two processes, resumed and not, mixed precision, start weights."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmpretrain.registry import MODELS

from mammo.engine.loading.checkpoint import CheckpointError
from mammo.records.storage.files import sha256_of

ROOT = Path(__file__).resolve().parents[2]
TWINS = dict(barlow='barlowtwins_64px_patches', byol='byol_64px_patches', swav='swav_64px_32px_patches')
PUBLISHED = 'configs/pretrain/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py'
SMALL = {
    'model.backbone.stem_channels': 8, 'model.backbone.base_channels': 8, 'model.neck.in_channels': 128,
    'train_cfg.max_epochs': 2, 'train_dataloader.batch_size': 8, 'train_dataloader.num_workers': 0,
    'default_hooks.logger.interval': 1, 'default_hooks.checkpoint.interval': 1,
}  # fmt: skip
SWAV = {
    'default_hooks.swav.queue_length': 20, 'default_hooks.swav.epoch_queue_starts': 0,
    'default_hooks.swav.frozen_layers_cfg.prototypes': 4,
}  # fmt: skip


@pytest.fixture(scope='module')
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images of 40 x 40 pixels, eight each of noise, stripes and discs, and their list."""
    folder = tmp_path_factory.mktemp('patches')
    rng = np.random.default_rng(0)
    for i in range(24):
        image = rng.integers(0, 80, (40, 40), dtype=np.uint8)
        if i % 3 == 1:
            image[:, :: 2 + i // 3] += 100
        elif i % 3 == 2:
            cv2.circle(image, (20, 20), 4 + i // 3, 200, -1)
        cv2.imwrite(str(folder / f'{i}.png'), image)
    (folder / 'list.txt').write_text(''.join(f'{i}.png\n' for i in range(24)))
    return folder


def train(method: str, patches: Path, work_dir: Path, **options: object) -> Path:
    """Train a small twin in this process -> its work dir."""
    cfg = Config.fromfile(ROOT / f'configs/demo/{TWINS[method]}.py')
    cfg.merge_from_dict({**SMALL, **(SWAV if method == 'swav' else {}), **options})
    cfg.train_dataloader.dataset.data_root = str(patches)
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name + method
    cfg.default_hooks.data_check.check_data = False
    RUNNERS.build(cfg).train()
    return work_dir


def losses_of(work_dir: Path) -> list[float]:
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    lines = map(json.loads, file.read_text().splitlines())
    return [line['loss'] for line in lines if 'loss' in line]


def checkpoint(work_dir: Path, epoch: int) -> dict:
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize('method', TWINS)
def test_resumed_and_uninterrupted_runs_agree(method: str, patches: Path, tmp_path: Path) -> None:
    whole = train(method, patches, tmp_path / 'whole')
    assert all(math.isfinite(loss) for loss in losses_of(whole))
    assert len(losses_of(whole)) == 6
    first = str(whole / 'epoch_1.pth')
    resumed = train(method, patches, tmp_path / 'resumed', resume=True, load_from=first)
    assert losses_of(resumed) == losses_of(whole)[3:]
    a, b = checkpoint(whole, 2), checkpoint(resumed, 2)
    for key, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][key]), key
    if method == 'byol':
        assert a['state_dict']['target_net.steps'] == 6
    if method == 'swav':
        assert a['swav_queue'].shape == (2, 16, 64)
        assert a['swav_queue'].any(dim=2).all()
        assert torch.equal(a['swav_queue'], b['swav_queue'])


@pytest.mark.slow
def test_weights_of_another_run_bring_no_queue(patches: Path, tmp_path: Path) -> None:
    whole = train('swav', patches, tmp_path / 'whole')
    late = {'default_hooks.swav.epoch_queue_starts': 2}
    fresh = train('swav', patches, tmp_path / 'fresh', load_from=str(whole / 'epoch_2.pth'), **late)
    assert checkpoint(fresh, 2)['swav_queue'] is None


def command(*words: object, patches: Path, code: int = 0) -> str:
    env = dict(
        os.environ,
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        MAMMO_PATCHES=str(patches),
        OMP_NUM_THREADS='1',
    )
    done = subprocess.run([*map(str, words)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def as_options(options: dict) -> list[str]:
    return [f'{key}={value}' for key, value in options.items()]


@pytest.mark.slow
@pytest.mark.parametrize('method', TWINS)
def test_two_processes_train_and_resume(method: str, patches: Path, tmp_path: Path) -> None:
    options = as_options({**SMALL, 'train_dataloader.batch_size': 4, **(SWAV if method == 'swav' else {})})
    script = ['bash', 'tools/dist_train.sh', f'configs/demo/{TWINS[method]}.py', 2]
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    command(*script, '--work-dir', whole, '--cfg-options', *options, patches=patches)
    assert len(losses_of(whole)) == 6
    assert all(math.isfinite(loss) for loss in losses_of(whole))
    command(
        *script, '--work-dir', resumed, '--resume', whole / 'epoch_1.pth', '--cfg-options', *options,
        patches=patches,
    )  # fmt: skip
    assert losses_of(resumed) == pytest.approx(losses_of(whole)[3:], abs=1e-6)
    a, b = checkpoint(whole, 2), checkpoint(resumed, 2)
    for key, value in a['state_dict'].items():
        torch.testing.assert_close(b['state_dict'][key], value, atol=1e-6, rtol=1e-6)
    if method == 'swav':
        torch.testing.assert_close(b['swav_queue'], a['swav_queue'])
        assert a['swav_queue'].shape == (2, 16, 64)


@pytest.mark.slow
def test_published_command_runs_with_small_views(patches: Path, tmp_path: Path) -> None:
    """dist_train.sh CONFIG 2 --amp at published network size; only views, batch and epochs are smaller."""
    view = 'train_dataloader.dataset.pipeline.1.transforms.0.0.scale=32'
    log = command(
        'bash', 'tools/dist_train.sh', PUBLISHED, 2, '--amp', '--work-dir', tmp_path, '--cfg-options', view,
        'train_dataloader.batch_size=6', 'train_dataloader.num_workers=1', 'train_cfg.max_epochs=1',
        'default_hooks.logger.interval=1', 'model.backbone.init_cfg=None', patches=patches,
    )  # fmt: skip
    assert 'mixed precision is bfloat16' in log
    assert 'SyncBN is replaced by BN' in log
    assert len(losses_of(tmp_path)) == 2
    assert all(math.isfinite(loss) for loss in losses_of(tmp_path))


@pytest.mark.slow
def test_queue_shorter_than_a_batch_ends_with_one_message(patches: Path, tmp_path: Path) -> None:
    options = as_options({**SMALL, **SWAV, 'default_hooks.swav.queue_length': 5})
    config = f'configs/demo/{TWINS["swav"]}.py'
    words = [sys.executable, 'tools/train.py', config, '--work-dir', tmp_path, '--cfg-options', *options]
    log = command(*words, patches=patches, code=2)
    assert 'error: SwAVHook: queue_length is 5, shorter than one batch of 8' in log
    assert 'Traceback' not in log


@pytest.fixture
def published(patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The published config, small but for its network; torch's cache is empty."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    monkeypatch.setenv('MAMMO_PATCHES', str(patches))
    cfg = Config.fromfile(ROOT / PUBLISHED)
    cfg.merge_from_dict({'train_cfg.max_epochs': 1, 'train_dataloader.num_workers': 0})
    cfg.merge_from_dict({'train_dataloader.batch_size': 8, 'param_scheduler': []})
    cfg.train_dataloader.dataset.pipeline[1]['transforms'][0][0].scale = 32
    cfg.default_hooks.data_check.check_data = False
    cfg.work_dir, cfg.experiment_name = str(tmp_path / 'work_dir'), tmp_path.name
    return cfg


def test_without_network_the_file_to_fetch_and_the_way_without_it_are_named(
    published: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError('Name or service not known')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', no_network)
    name = 'barlowtwins_resnet50_8xb256-coslr-300e_in1k_20220825-57307488.pth'
    with pytest.raises(CheckpointError, match=f'could not fetch https://.*{name}.*Fetch it by hand') as error:
        RUNNERS.build(published).train()
    assert f'torch/hub/checkpoints/{name}' in str(error.value)
    assert '--cfg-options model.backbone.init_cfg=None' in str(error.value)


@pytest.mark.slow
def test_start_weights_fill_stem_and_first_stage_only(published: Config) -> None:
    """A stock ResNet-50 under an address with its hash, in torch's cache, as if fetched."""
    stock = MODELS.build(dict(type='ResNet', depth=50))
    state = {f'backbone.{key}': value + 0.25 for key, value in stock.state_dict().items()}
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    folder.mkdir(parents=True)
    torch.save(dict(state_dict=state), folder / 'made.pth')
    name = f'resnet50-{sha256_of(folder / "made.pth")[:8]}.pth'
    (folder / 'made.pth').rename(folder / name)
    published.model.backbone.init_cfg.checkpoint = f'https://example.org/{name}'
    published.optim_wrapper.optimizer.lr = 0.0
    runner = RUNNERS.build(published)
    runner.train()
    (log,) = Path(published.work_dir).glob('*/*.log')
    (line,) = [line for line in log.read_text().splitlines() if 'tensors from' in line]
    own = [key for key in runner.model.backbone.state_dict() if 'num_batches' not in key]
    filled = [key for key in own if key.startswith(('conv1', 'bn1', 'layer1'))]
    assert f'backbone: {len(filled)} of {len(own)} tensors' in line
    assert f'{len(own) - len(filled)} start fresh' in line
    for key, p in runner.model.backbone.named_parameters():
        if key in filled:
            assert torch.equal(p, state[f'backbone.{key}']), key
