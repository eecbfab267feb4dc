"""Hand-over: the backbone alone, and what stage b says of where it came from."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmpretrain.registry import MODELS

from mammo.engine.launch import adapt_to_cpu
from mammo.engine.loading.checkpoint import report_pretrained, weights_sha256
from mammo.engine.pretrain.backbone_export import BackboneExportHook
from tests.support.toy_pretraining import load_pretraining

STAGE_B = dict(type='ResNetWs', depth=50, expansion=2, stem_channels=8, base_channels=8)


@pytest.fixture(scope='module')
def pretrained(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Work dir of two epochs of BYOL, which has a second, averaged backbone."""
    folder = tmp_path_factory.mktemp('pretrained')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
        cfg = load_pretraining(folder / 'byol', toy_data, method='byol')
        cfg.default_hooks.learning_monitor.dataset.ann_file = ''
        RUNNERS.build(cfg).train()
        yield folder / 'byol'


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def test_file_holds_the_online_backbone_of_the_last_checkpoint(pretrained: Path) -> None:
    file, checkpoint = load(pretrained / 'backbone.pth'), load(pretrained / 'epoch_2.pth')
    online = {key: value for key, value in checkpoint['state_dict'].items() if key.startswith('backbone.')}
    assert file['state_dict'].keys() == online.keys()
    assert len(online) > 300
    assert all(torch.equal(value, online[key]) for key, value in file['state_dict'].items())
    target = checkpoint['state_dict']['target_net.module.0.conv1.weight']
    assert not torch.equal(file['state_dict']['backbone.conv1.weight'], target)


def test_file_says_where_it_came_from_and_is_small(pretrained: Path) -> None:
    meta = load(pretrained / 'backbone.pth')['meta']
    assert {key: meta[key] for key in ('epoch', 'iter', 'run')} == dict(epoch=2, iter=4, run='toy')
    assert meta['versions'].keys() == {'torch', 'mmengine', 'mmpretrain'}
    assert (pretrained / 'backbone.pth').stat().st_size < 0.5 * (pretrained / 'epoch_2.pth').stat().st_size
    assert not list(pretrained.glob('.tmp-*'))


@pytest.mark.parametrize('name', ['backbone.pth', 'epoch_2.pth'])
def test_one_config_line_loads_both_files_and_logs_epoch_and_hash(
    pretrained: Path, log_lines: list[str], name: str
) -> None:
    init_cfg = dict(type='Pretrained', checkpoint=str(pretrained / name), prefix='backbone')
    model = MODELS.build(dict(type='ImageClassifier', backbone=dict(STAGE_B, init_cfg=init_cfg)))
    report_pretrained(model)
    model.init_weights()
    expected = load(pretrained / 'epoch_2.pth')['state_dict']
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, expected[f'backbone.{key}']), key
    sha256 = load(pretrained / 'backbone.pth')['meta']['sha256']
    (line,) = [line for line in log_lines if 'tensors from' in line]
    assert f'{name} (epoch 2 of ' in line
    assert f'weights sha256 {sha256})' in line


def test_checkpoint_that_does_not_say_its_epoch_is_reported_as_such(
    tmp_path: Path, log_lines: list[str]
) -> None:
    torch.save(MODELS.build(STAGE_B).state_dict(), tmp_path / 'plain.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.pth'))
    report_pretrained(MODELS.build(dict(STAGE_B, init_cfg=init_cfg)))
    assert any('plain.pth (epoch unknown, weights sha256 ' in line for line in log_lines)


def test_hash_is_of_names_types_shapes_and_values_and_not_of_order() -> None:
    state = dict(a=torch.arange(4.0).reshape(2, 2), n=torch.tensor(3))
    same = dict(
        n=torch.tensor(3), a=torch.arange(4.0).reshape(2, 2).to(memory_format=torch.contiguous_format)
    )
    assert weights_sha256(state) == weights_sha256(same)
    transposed = dict(state, a=torch.tensor([[0.0, 2.0], [1.0, 3.0]]).T)  # equal, stored otherwise
    assert weights_sha256(transposed) == weights_sha256(state)
    for other in (
        dict(state, a=state['a'].reshape(4)),
        dict(state, a=state['a'] + 1e-6),
        dict(state, a=state['a'].double()),
        dict(b=state['a'], n=state['n']),
    ):
        assert weights_sha256(other) != weights_sha256(state)


def test_a_write_that_fails_leaves_the_file_of_the_epoch_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = SimpleNamespace(work_dir=str(tmp_path), cfg=Config(), experiment_name='run')
    checkpoint = dict(
        meta=dict(epoch=1, iter=5), state_dict={'backbone.w': torch.ones(2), 'neck.w': torch.ones(1)}
    )
    hook = BackboneExportHook()
    hook.before_save_checkpoint(runner, checkpoint)

    def full_disk(*_: Any) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full_disk)
    with pytest.raises(OSError, match='No space left'):
        hook.before_save_checkpoint(runner, dict(checkpoint, meta=dict(epoch=2, iter=10)))
    monkeypatch.undo()
    kept = load(tmp_path / 'backbone.pth')
    assert kept['meta']['epoch'] == 1
    assert list(kept['state_dict']) == ['backbone.w']
    assert [path.name for path in tmp_path.iterdir()] == ['backbone.pth']


def test_pretraining_keeps_every_checkpoint(pretrained: Path) -> None:
    cfg = Config.fromfile(pretrained / 'toy.py')
    adapt_to_cpu(cfg)
    assert cfg.default_hooks.checkpoint.max_keep_ckpts == -1
    assert not cfg.default_hooks.checkpoint.save_best
    base = Config.fromfile('configs/_base_/pretrain_runtime.py')
    assert 80 % base.default_hooks.checkpoint.interval == 0  # supervised configs start from epoch 80
    assert sorted(path.name for path in pretrained.glob('epoch_*.pth')) == ['epoch_1.pth', 'epoch_2.pth']
