"""A bundle is read as it was written, or refused."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mammo.inference.bundle.folder import MANIFEST, BundleError, canonical, open_bundle, write_bundle
from mammo.inference.bundle.folder import _id as id_of
from mammo.inference.predictor import Predictor


@pytest.fixture
def copy(toy: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy.folder, tmp_path / 'copy'))


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Change a file and make the manifest agree, as somebody would who knows the format."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest['files'][name] = dict(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    sign(folder, manifest)


def sign(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / MANIFEST).write_bytes(canonical(manifest | dict(id=id_of(manifest))))


def flip(path: Path, offset: int, mask: int) -> None:
    with path.open('r+b') as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    files = [('a.json', canonical([1, 'ü'])), ('sub/b.md', b'text')]
    bundle_id = write_bundle(tmp_path / 'bundle', iter(files))
    bundle = open_bundle(tmp_path / 'bundle')
    assert (bundle.id, bundle.json('a.json'), bundle.read('sub/b.md')) == (bundle_id, [1, 'ü'], b'text')
    other = write_bundle(tmp_path / 'other', [*files[:1], ('sub/b.md', b'Text')])
    assert other != bundle_id


def test_1000_random_byte_changes_are_all_refused(copy: Path) -> None:
    rng = np.random.default_rng(0)
    names = sorted(str(path.relative_to(copy)) for path in copy.rglob('*') if path.is_file())
    assert len(names) >= 15
    open_bundle(copy)
    for _ in range(1000):
        path = copy / names[rng.integers(len(names))]
        offset, mask = int(rng.integers(path.stat().st_size)), int(rng.integers(1, 256))
        flip(path, offset, mask)
        with pytest.raises(BundleError, match=r'damaged|format_version'):
            open_bundle(copy)
        flip(path, offset, mask)
    open_bundle(copy)


def test_every_byte_of_the_manifest_counts(copy: Path) -> None:
    size = (copy / MANIFEST).stat().st_size
    for offset in range(size):
        flip(copy / MANIFEST, offset, 1 << (offset % 8))
        with pytest.raises(BundleError, match=r'damaged|format_version'):
            open_bundle(copy)
        flip(copy / MANIFEST, offset, 1 << (offset % 8))
    open_bundle(copy)


@pytest.mark.parametrize('name', ['member_02.safetensors', 'decision.json', 'MODEL_CARD.md', MANIFEST])
def test_missing_cut_and_longer_files_are_refused_by_name(copy: Path, name: str) -> None:
    whole = (copy / name).read_bytes()
    for content in (whole[:-1], whole + b'\n', b''):
        (copy / name).write_bytes(content)
        with pytest.raises(BundleError, match=f'{name}: damaged or edited; copy the bundle again'):
            Predictor.load(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f'{name}: (missing|No such file)'):
        Predictor.load(copy)


def test_a_file_that_changes_after_the_check_is_refused(copy: Path) -> None:
    bundle = open_bundle(copy)
    flip(copy / 'backbone.safetensors', 5000, 1)
    with pytest.raises(BundleError, match=r'backbone.safetensors: damaged or edited'):
        bundle.tensors('backbone.safetensors')


def test_a_newer_version_is_a_clear_error(copy: Path) -> None:
    sign(copy, json.loads((copy / MANIFEST).read_bytes()) | dict(format_version=4))
    with pytest.raises(
        BundleError, match='format_version is 4, this release reads 2 and 3; install the release'
    ):
        Predictor.load(copy)


def test_other_folders_are_no_bundles(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r'No such file.*is .* a bundle of tools/make_bundle.py'):
        open_bundle(tmp_path)
    (tmp_path / MANIFEST).write_text('[' * 100_000)
    with pytest.raises(BundleError, match='damaged or edited'):
        open_bundle(tmp_path)


@pytest.mark.parametrize('name', ['../outside.json', '/etc/passwd.json', 'a/../../b.json'])
def test_names_outside_the_folder_are_refused(copy: Path, name: str) -> None:
    for outside in ('outside.json', 'b.json'):
        (copy.parent / outside).write_bytes(b'1\n')
    manifest = json.loads((copy / MANIFEST).read_bytes())
    manifest['files'][name] = dict(bytes=2, sha256=hashlib.sha256(b'1\n').hexdigest())
    sign(copy, manifest)
    with pytest.raises(BundleError, match='is no file of a bundle'):
        open_bundle(copy)


class RunsCode:
    def __reduce__(self) -> tuple:
        return os.putenv, ('BUNDLE_RAN_CODE', '1')


def test_pickled_weights_are_not_run(copy: Path) -> None:
    rewrite(copy, 'member_01.safetensors', pickle.dumps(RunsCode()))
    with pytest.raises(BundleError, match=r'member_01.safetensors: no safetensors file'):
        Predictor.load(copy)


@pytest.mark.parametrize(
    ('place', 'key', 'value'),
    [
        ('model', 'type', 'torch.nn.Linear'),
        ('backbone', 'type', 'os.system'),
        ('backbone', 'init_cfg', {'type': 'Pretrained', 'checkpoint': 'http://example.org/x.pth'}),
        ('neck', 'norm_cfg', {'type': 'mammo.inference.evil'}),
        ('head', '_scope_', 'elsewhere'),
        ('backbone', 'type', ['ResNetWs']),
    ],
)
def test_an_architecture_of_other_names_is_refused(copy: Path, place: str, key: str, value: Any) -> None:
    content = json.loads((copy / 'model.json').read_bytes())
    model = content['model']
    (model if place == 'model' else model.setdefault(place, {}))[key] = value
    rewrite(copy, 'model.json', canonical(content))
    with pytest.raises(BundleError, match=f'model.*{key}.* is .*which a bundle may not hold'):
        Predictor.load(copy)


def test_steps_of_other_names_are_refused(copy: Path) -> None:
    content = json.loads((copy / 'preprocessing.json').read_bytes())
    content['steps'].append(dict(type='LoadImageFromFile'))
    rewrite(copy, 'preprocessing.json', canonical(content))
    with pytest.raises(BundleError, match='LoadImageFromFile'):
        Predictor.load(copy)


def test_weights_of_another_architecture_are_refused(copy: Path) -> None:
    rewrite(copy, 'member_01.safetensors', (copy / 'fusion/member_00.safetensors').read_bytes())
    with pytest.raises(BundleError, match=r'member_01.safetensors: does not fit model.json'):
        Predictor.load(copy)


def test_a_folder_that_exists_is_kept_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / 'thesis').mkdir()
    with pytest.raises(BundleError, match='thesis: exists'):
        write_bundle(tmp_path / 'thesis', [])

    def breaks() -> Iterator[tuple[str, bytes]]:
        yield 'a.json', b'1\n'
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        write_bundle(tmp_path / 'bundle', breaks())
    assert [path.name for path in tmp_path.iterdir()] == ['thesis']


def test_a_shared_backbone_is_there_once(toy: Any, predictor: Predictor) -> None:
    assert predictor.network.ensemble.num_backbones == 1
    sizes = {path.name: path.stat().st_size for path in toy.folder.iterdir()}
    assert sum(name.startswith('member_') for name in sizes) == 4
    weights = sum(p.numel() * 4 for p in toy.models[0].neck.parameters())
    assert sizes['member_03.safetensors'] == pytest.approx(weights, rel=0.05)
