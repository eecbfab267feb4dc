"""The runner: refuses before data is read, loads completely or not at all, saves plain checkpoints."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS, DefaultScope
from torch import nn

from mammo.engine.loading.checkpoint import CheckpointError

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / 'configs' / 'demo' / 'full_breast_224x128_transformer.py'


@pytest.fixture
def cfg(toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The demo config, smaller still: 96 x 64 images, one epoch."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    cfg = Config.fromfile(DEMO)
    cfg.model.backbone.update(stem_channels=8, base_channels=8)
    cfg.model.neck.update(in_dims=128, num_heads=2, head_dim=8, map_size=(3, 2))
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, batch_size=4)
        loader.dataset.update(data_root=str(toy_data), ann_file=f'{split}.json')
        loader.dataset.pipeline = [
            dict(type='LoadMammogram'),
            dict(type='Resize', scale=(64, 96)),
            dict(type='MammoPackMultiTaskInputs'),
        ]
    cfg.train_cfg.max_epochs = 1
    cfg.work_dir = str(tmp_path / 'work')
    cfg.experiment_name = tmp_path.name
    return cfg


def build(cfg: Config) -> Any:
    runner = RUNNERS.build(Config(cfg.to_dict()))
    assert DefaultScope.get_current_instance().scope_name == 'mammo'
    return runner


def metrics_log(work_dir: str) -> list[dict]:
    (path,) = Path(work_dir).rglob('scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_training_saves_plain_checkpoints_and_null_for_undefined_metrics(cfg: Config) -> None:
    runner = build(cfg)
    runner.train()
    (last,) = Path(cfg.work_dir).glob('epoch_1.pth')
    (best,) = Path(cfg.work_dir).glob('best_*.pth')
    assert best.name.startswith('best_N_loss')
    for path in (last, best):
        loaded = torch.load(path, weights_only=True)
        assert all(torch.isfinite(v).all() for v in loaded['state_dict'].values() if v.is_floating_point())
    validation = [line for line in metrics_log(cfg.work_dir) if 'N_loss' in line and 'lr' not in line][-1]
    assert validation['N_loss'] > 0
    assert validation.get('multifocality_loss') is None  # never labelled


def run_to_end(cfg: Config, work_dir: Path, *, dropout: bool) -> dict:
    """Train to the second epoch, from the start or from what the folder holds; the final checkpoint."""
    cfg.train_cfg.max_epochs, cfg.work_dir = 2, str(work_dir)
    cfg.experiment_name = f'{work_dir.parent.name}_{work_dir.name}'
    runner = build(cfg)
    for module in runner.model.modules() if not dropout else ():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, 'dropout', None), float):
            module.dropout = 0.0
    runner.train()
    return torch.load(work_dir / 'epoch_2.pth', weights_only=True)


@pytest.mark.parametrize('dropout', [False, True])
def test_resumed_run_ends_as_the_uninterrupted_one(cfg: Config, tmp_path: Path, dropout: bool) -> None:
    whole = run_to_end(cfg, tmp_path / 'whole', dropout=dropout)
    killed = tmp_path / 'killed'  # as a run that was killed in its second epoch leaves it
    killed.mkdir()
    shutil.copy(tmp_path / 'whole' / 'epoch_1.pth', killed)
    (killed / 'last_checkpoint').write_text(str(killed / 'epoch_1.pth'))
    cfg.resume = True
    parts = run_to_end(cfg, killed, dropout=dropout)
    assert whole['meta']['iter'] == parts['meta']['iter'] == 10
    assert whole['param_schedulers'][0]['last_step'] == parts['param_schedulers'][0]['last_step']
    losses = [end['message_hub']['log_scalars']['train/loss']['values'].tolist() for end in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert len(losses[0]) == 10
    for key, value in whole['state_dict'].items():
        assert torch.allclose(value, parts['state_dict'][key], atol=1e-5), key


def test_missing_pretrained_file_is_said_before_any_data_is_read(cfg: Config, tmp_path: Path) -> None:
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'no data')
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'none.pth'))
    with pytest.raises(CheckpointError, match=r'none\.pth: no such file. Make it by pretraining'):
        build(cfg).train()


def test_checkpoint_of_another_model_lists_missing_and_unexpected_keys(cfg: Config, tmp_path: Path) -> None:
    state = build(cfg).model.state_dict()
    state['neck.other.weight'] = state.pop('neck.fc.weight')
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    cfg.load_from, cfg.experiment_name = str(tmp_path / 'other.pth'), f'{tmp_path.name}_other'
    with pytest.raises(CheckpointError) as error:
        build(cfg).test()
    message = str(error.value)
    for part in ('other.pth: made by another model', 'neck.other.weight', 'neck.fc.weight', 'init_cfg'):
        assert part in message


def test_checkpoint_of_another_width_is_refused(cfg: Config, tmp_path: Path) -> None:
    state = build(cfg).model.state_dict()
    state['neck.fc.weight'] = torch.zeros(3, 128)
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    cfg.load_from, cfg.experiment_name = str(tmp_path / 'other.pth'), f'{tmp_path.name}_other'
    with pytest.raises(CheckpointError, match=r'(?s)made by another model.*size mismatch.*neck\.fc\.weight'):
        build(cfg).test()


def test_checkpoint_of_a_run_with_averaged_weights_loads_without_a_loop(cfg: Config, tmp_path: Path) -> None:
    cfg.custom_hooks = [dict(type='EMAHook')]
    saved = run_to_end(cfg, tmp_path / 'averaged', dropout=True)
    assert 'ema_state_dict' in saved
    runner = build(cfg)
    runner.load_checkpoint(str(tmp_path / 'averaged' / 'epoch_2.pth'))
    loaded = runner.model.state_dict()
    differing = [key for key, value in saved['state_dict'].items() if not torch.equal(loaded[key], value)]
    assert not differing


def test_checkpoint_that_fits_gives_the_same_metrics_each_time(cfg: Config, tmp_path: Path) -> None:
    torch.save(dict(state_dict=build(cfg).model.state_dict()), tmp_path / 'own.pth')
    cfg.load_from = str(tmp_path / 'own.pth')
    results = []
    for i in range(2):
        cfg.experiment_name = f'{tmp_path.name}_{i}'
        results.append(build(cfg).test())
    assert results[0] == results[1]
    assert list(results[0])[:4] == ['N_loss', 'N_roc_auc', 'N_pr_auc', 'LVI_loss']
    assert results[0]['multifocality_loss'] is None
    json.dumps(results[0], allow_nan=False)
