"""Checkpoints: nothing is executed, what is missing is said, what does not fit is refused."""

import hashlib
import pathlib
import pickle
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from torch import nn

from mammo.engine.loading.checkpoint import (
    CheckpointError,
    load_from_address,
    report_pretrained,
    require_pretrained,
    trust_checkpoints,
)
from mammo.engine.loading.fetching import cached


class Payload:
    """Touches a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return pathlib.Path.touch, (self.target,)


def load(path: Path) -> dict[str, Any]:
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


@pytest.mark.parametrize('legacy', [False, True])
def test_checkpoint_that_runs_code_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    path, target = tmp_path / 'evil.pth', tmp_path / 'executed'
    torch.save(dict(state_dict={}, payload=Payload(target)), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        CheckpointError, match=r'evil\.pth: refused, since it is damaged or holds more than tensors'
    ):
        load(path)
    assert not target.exists()
    pickle.loads(pickle.dumps(Payload(target)))  # the trap itself works
    assert target.exists()


def test_plain_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path, target = tmp_path / 'evil.pth', tmp_path / 'executed'
    path.write_bytes(pickle.dumps(Payload(target)))
    with pytest.raises(CheckpointError, match=r'evil\.pth: '):
        load(path)
    assert not target.exists()


@pytest.mark.parametrize('scheme', ['https', 'http'])
def test_fetched_checkpoint_that_runs_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """As if it had been fetched before: torch's cache holds the file."""
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    target = tmp_path / 'executed'
    file = cached(f'{scheme}://example.org/evil.pth')[0]
    file.parent.mkdir(parents=True)
    torch.save(dict(state_dict={}, payload=Payload(target)), file)
    with pytest.raises((CheckpointError, pickle.UnpicklingError)):
        CheckpointLoader.load_checkpoint(f'{scheme}://example.org/evil.pth', map_location='cpu')
    assert not target.exists()


def test_tensors_and_plain_values_load(tmp_path: Path) -> None:
    content = dict(state_dict=dict(a=torch.ones(2)), meta=dict(epoch=3, name='x', none=None))
    torch.save(content, tmp_path / 'a.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert loaded['meta'] == content['meta']
    assert torch.equal(loaded['state_dict']['a'], torch.ones(2))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_weights_that_are_not_numbers_are_refused(suffix: str, tmp_path: Path) -> None:
    path, state = tmp_path / f'a{suffix}', dict(a=torch.ones(2), b=torch.tensor([1.0, torch.nan]))
    if suffix == '.pth':
        torch.save(dict(state_dict=state, meta={}), path)
    else:
        safetensors.torch.save_file(state, path)
    with pytest.raises(CheckpointError, match='1 tensors hold NaN, such as b: the training had diverged'):
        CheckpointLoader.load_checkpoint(str(path))


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r'none\.pth: no such checkpoint'):
        load(tmp_path / 'none.pth')


def test_truncated_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    torch.save(dict(a=torch.randn(1000)), path)
    data = path.read_bytes()
    for kept in (0, 10, len(data) // 2, len(data) - 10):
        path.write_bytes(data[:kept])
        with pytest.raises(CheckpointError, match=r'a\.pth: '):
            load(path)


@pytest.mark.parametrize('content', [b'', b'\x00' * 50, b'hello\xff'])
def test_file_that_is_no_checkpoint_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'a\.pth: (not a readable|refused)'):
        load(tmp_path / 'a.pth')


WEB_PAGE = b'<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n'


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize(
    'content',
    [
        WEB_PAGE,
        '\ufeff<!DOCTYPE html><title>Página no encontrada'.encode(),
        b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n',
    ],
)
def test_text_in_the_place_of_weights_is_called_text(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f'a{suffix}'
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError,
        match=rf"a{suffix}: no weights, but text that begins with '{content.decode('utf-8-sig')[:9]}",
    ):
        load(path)


def test_a_web_page_in_the_place_of_fetched_weights_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    url = 'https://example.org/r50.pth'  # a name without a hash
    monkeypatch.setattr(
        torch.hub, 'download_url_to_file', lambda _, target, *__, **___: Path(target).write_bytes(WEB_PAGE)
    )
    with pytest.raises(
        CheckpointError, match=r'could not fetch https://example.org/r50.pth \(no weights, but text'
    ):
        require_pretrained(pretrained(url), None)
    assert not cached(url)[0].exists()
    cached(url)[0].write_bytes(WEB_PAGE)  # as an earlier release has left it
    monkeypatch.setattr(
        torch.hub, 'download_url_to_file', lambda _, target, *__, **___: torch.save({}, target)
    )
    require_pretrained(pretrained(url), None)
    assert load(cached(url)[0]) == {}


def pretrained(checkpoint: str) -> dict[str, Any]:
    return dict(backbone=dict(type='ResNetWs', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)))


def test_missing_pretrained_checkpoint_says_how_to_make_it_and_how_to_start_without(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        require_pretrained(pretrained(str(tmp_path / 'epoch_80.pth')), None)
    message = str(error.value)
    for part in (
        'model.backbone.init_cfg.checkpoint', 'epoch_80.pth: no such file', 'configs/pretrain/',
        '--cfg-options model.backbone.init_cfg.checkpoint=FILE', '--cfg-options model.backbone.init_cfg=None',
    ):  # fmt: skip
        assert part in message


def test_missing_load_from_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r'load_from: .*best\.pth: no such checkpoint'):
        require_pretrained({}, str(tmp_path / 'best.pth'))


def test_present_checkpoints_and_none_at_all_pass(tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    path.touch()
    require_pretrained(pretrained(str(path)), str(path))
    require_pretrained(dict(backbone=dict(init_cfg=None), neck=None), None)
    require_pretrained(dict(backbone=dict(init_cfg=dict(type='Kaiming'))), None)


def test_address_that_cannot_be_fetched_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError('no route')

    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', no_network)
    with pytest.raises(CheckpointError) as error:
        require_pretrained(pretrained('https://example.org/r50.pth'), None)
    message = str(error.value)
    assert 'could not fetch https://example.org/r50.pth' in message
    assert str(cached('https://example.org/r50.pth')[0]) in message
    assert 'model.backbone.init_cfg=None' in message


def test_address_that_was_fetched_before_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    file = cached('https://example.org/r50.pth')[0]
    assert file.parent == tmp_path / 'hub' / 'checkpoints'
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(torch.hub, 'download_url_to_file', None)  # would fail if called
    require_pretrained(pretrained('https://example.org/r50.pth'), None)


class TwoLayers(BaseModule):
    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 4)


def net_from(checkpoint: Path, state: dict, prefix: str | None = 'backbone') -> nn.Module:
    torch.save(dict(state_dict=state), checkpoint)
    net = nn.Module()
    net.backbone = TwoLayers(dict(type='Pretrained', checkpoint=str(checkpoint), prefix=prefix))
    return net


def test_partly_filled_module_is_reported(tmp_path: Path, log_lines: list[str]) -> None:
    state = {f'backbone.{k}': v for k, v in TwoLayers().state_dict().items() if k.startswith('a.')}
    report_pretrained(net_from(tmp_path / 'c.pth', state))
    assert any(
        'backbone: 2 of 4 tensors from' in line and '2 start fresh (b.weight' in line for line in log_lines
    )


def test_pretrained_checkpoint_of_another_network_lists_keys(tmp_path: Path) -> None:
    net = net_from(tmp_path / 'c.pth', {'backbone.other.weight': torch.zeros(1), 'head.x': torch.zeros(1)})
    with pytest.raises(
        CheckpointError,
        match=r"does not fit backbone: with prefix 'backbone' 0 of 4 .*Missing: \['a.*unexpected: \['other",
    ):
        report_pretrained(net)


def test_pretrained_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    state = {f'backbone.{k}': v for k, v in TwoLayers().state_dict().items()}
    state['backbone.a.weight'] = torch.zeros(7, 7)
    with pytest.raises(CheckpointError, match=r"these 1 another shape.*other shape: \['a.weight'\]"):
        report_pretrained(net_from(tmp_path / 'c.pth', state))


def test_a_trusted_pickle_opens_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'published.pth'
    torch.save({'state_dict': {}, 'meta': {'when': Path('a')}}, path)
    schemes = dict(CheckpointLoader._schemes)
    monkeypatch.setattr(CheckpointLoader, '_schemes', schemes)
    with pytest.raises(CheckpointError, match='--trust-checkpoint'):
        CheckpointLoader.load_checkpoint(str(path))
    trust_checkpoints()
    assert CheckpointLoader.load_checkpoint(str(path))['meta'] == {'when': Path('a')}


def test_an_address_that_cannot_be_reached_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', _no_network)
    url = 'https://example.org/some-0123.pth'
    model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=url)))
    with pytest.raises(
        CheckpointError, match=rf'model\.backbone.*{url}.*by hand.*some-0123\.pth.*init_cfg=None'
    ):
        require_pretrained(model, None)


def _no_network(*_: object, **__: object) -> None:
    raise urllib.error.URLError('no network')


def test_addresses_with_one_file_name_do_not_share_a_file() -> None:
    a, b = (cached(f'https://example.org/{folder}/r50.pth?x=1')[0] for folder in 'ab')
    assert a != b
    assert a.name.endswith('_r50.pth')
    named = cached('https://example.org/r50_20260101-0123abcd.pth')
    assert (named[0].name, named[1]) == ('r50_20260101-0123abcd.pth', '0123abcd')


def test_damaged_file_in_the_cache_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(dict(a=1), tmp_path / 'good.pth')
    good = (tmp_path / 'good.pth').read_bytes()
    url = f'https://example.org/r50-{hashlib.sha256(good).hexdigest()[:8]}.pth'
    fetched = []

    def fetch(_: str, target: str, digest: str, **__: Any) -> None:
        fetched.append(digest)
        Path(target).write_bytes(good)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', fetch)
    file = cached(url)[0]
    file.parent.mkdir()
    file.write_bytes(good[:-9])
    assert load_from_address(url) == load_from_address(url) == dict(a=1)
    assert fetched == [hashlib.sha256(good).hexdigest()[:8]]


def test_what_one_machine_cannot_fetch_ends_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setattr(
        'mammo.engine.loading.fetching.all_gather_object', lambda problem: ['no room', problem]
    )
    with pytest.raises(CheckpointError, match='no room'):
        load_from_address('https://example.org/r50.pth')
