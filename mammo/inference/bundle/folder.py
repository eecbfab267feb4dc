"""The bundle: a folder of plain data whose manifest binds every byte of every file.

files by name -> BUNDLE/manifest.json and the files; BUNDLE -> Bundle, or a refusal; nothing of it is run
"""

import json
import os
import platform
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from mammo.errors import UserError
from mammo.records.storage.files import replacing, sha256_of, sha256_of_bytes
from mammo.records.versions import VERSIONS, installed, version_problem

MANIFEST = 'manifest.json'
NAME = re.compile(r'[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*\.(json|md|safetensors)')
LIBRARIES = ('torch', 'numpy', 'opencv-python', 'pydicom', 'scikit-learn', 'safetensors', 'mmengine',
             'onedl-mmengine', 'mmpretrain', 'onedl-mmpretrain')  # fmt: skip
REMEDY = 'copy the bundle again, or make it anew with tools/make_bundle.py'


class BundleError(UserError):
    """A bundle that is damaged, edited, of another version, or cannot be made."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were all found as they were written."""

    folder: Path
    id: str  # SHA-256 that binds all files
    files: dict[str, dict[str, Any]]  # name -> bytes, sha256

    def read(self, name: str) -> bytes:
        """Content of a file, compared with the manifest once more.

        Raises:
            BundleError: there is no such file, or it has changed.
        """
        if name not in self.files:
            raise BundleError(f'{self.folder}: {name} is missing from the bundle; {REMEDY}')
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise BundleError(f'{self.folder / name}: {error.strerror}; {REMEDY}') from None
        if sha256_of_bytes(content) != self.files[name]['sha256']:
            raise BundleError(f'{self.folder / name}: damaged or edited; {REMEDY}')
        return content

    def json(self, name: str) -> Any:
        """Content of a JSON file of the bundle, after its hash is checked."""
        return parsed(self.read(name), self.folder / name)

    def arrays(self, name: str) -> dict[str, NDArray]:
        """Tensors of a safetensors file as arrays, by name."""
        return {key: tensor.numpy() for key, tensor in self.tensors(name).items()}

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Tensors of a safetensors file, by name.

        Raises:
            BundleError: it is none, or was changed.
        """
        try:
            return safetensors.torch.load(self.read(name))
        except SafetensorError as error:
            raise BundleError(f'{self.folder / name}: no safetensors file: {error}; {REMEDY}') from None


def canonical(content: Any) -> bytes:
    """The one form in which a bundle holds JSON."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    return (text + '\n').encode()


def parsed(raw: bytes, place: Path) -> Any:
    """JSON in the canonical form, so that no byte of it could be another."""
    try:
        content = json.loads(raw)
        whole = canonical(content) == raw
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise BundleError(f'{place}: damaged or edited; {REMEDY}')
    return content


def write_bundle(folder: Path, files: Iterable[tuple[str, bytes]]) -> str:
    """Write files and manifest, whole or not at all -> id of the bundle.

    Raises:
        BundleError: ``folder`` exists.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / 'bundle'
        >>> bundle_id = write_bundle(folder, [('a.json', canonical([1, 2]))])
        >>> bundle = open_bundle(folder)
        >>> bundle.json('a.json'), bundle.id == bundle_id
        ([1, 2], True)
    """
    if folder.exists():
        raise BundleError(f'{folder}: exists; a bundle is never changed, name another folder or remove it')
    draft = folder.with_name(f'.{folder.name}.{os.getpid()}.tmp')
    try:
        draft.mkdir(parents=True)
        listed = {name: _write(draft / name, content) for name, content in files}
        assert all(NAME.fullmatch(name) for name in listed)
        created_by = dict(python=platform.python_version()) | installed(*LIBRARIES)
        manifest = dict(format_version=VERSIONS['bundle'], created_by=created_by, files=listed)
        bundle_id = _id(manifest)
        _write(draft / MANIFEST, canonical(manifest | dict(id=bundle_id)))
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return bundle_id


def open_bundle(folder: str | os.PathLike) -> Bundle:
    """Check the manifest and the SHA-256 of every file.

    Raises:
        BundleError: anything is missing, damaged, edited, or of another format version.
    """
    folder = Path(folder)
    place = folder / MANIFEST
    try:
        raw = place.read_bytes()
    except OSError as error:
        raise BundleError(
            f'{place}: {error.strerror}; is {folder} a bundle of tools/make_bundle.py?'
        ) from None
    content = parsed(raw, place)
    problem = version_problem('bundle', content.get('format_version') if isinstance(content, dict) else None)
    if problem:
        raise BundleError(f'{place}: {problem}; install the release that made the bundle, or make it anew')
    if content.get('id') != _id(content):
        raise BundleError(f'{place}: damaged or edited; {REMEDY}')
    for name, entry in content['files'].items():
        if not NAME.fullmatch(name):
            raise BundleError(f'{place}: {name!r} is no file of a bundle; {REMEDY}')
        path = folder / name
        whole = path.is_file() and path.stat().st_size == entry['bytes']
        if not whole or sha256_of(path) != entry['sha256']:
            raise BundleError(f'{path}: {"damaged or edited" if path.is_file() else "missing"}; {REMEDY}')
    return Bundle(folder, content['id'], content['files'])


def _id(manifest: dict[str, Any]) -> str:
    return sha256_of_bytes(canonical({k: v for k, v in manifest.items() if k != 'id'}))


def _write(path: Path, content: bytes) -> dict[str, Any]:
    with replacing(path) as tmp:
        tmp.write_bytes(content)
    return dict(bytes=len(content), sha256=sha256_of_bytes(content))
