"""Maps of a frozen backbone on disk: memory-mapped, with a checksum per map, refused when stale.

folder <-> plain.npy (n, C, h, w) float32, views.npy (n, K, C, h, w) float16, checksums, cache.json
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mammo.records.meta import MetaError
from mammo.records.storage.files import write_json
from mammo.records.versions import VERSIONS, version_problem

DTYPES = dict(plain=np.float32, views=np.float16)


class CacheError(MetaError):
    """A feature cache that is missing, unfinished, damaged, or made of something else."""


class FeatureCache:
    """Maps of images by name: ``plain`` those of the test pipeline, ``views`` K of the training pipeline.

    A map counts as there once its checksum is, so that writing can stop and go on at any moment.

    Raises:
        CacheError: there is no cache in the folder, or it is of another format.
    """

    def __init__(self, folder: str | os.PathLike, mode: str = 'r') -> None:
        self.folder = Path(folder)
        try:
            self.about: dict[str, Any] = json.loads((self.folder / 'cache.json').read_text())
        except FileNotFoundError:
            raise CacheError(
                f'{self.folder}: no feature cache; make one with tools/cache_features.py'
            ) from None
        problem = version_problem('feature_cache', self.about.get('format_version'))
        if problem:
            raise CacheError(f'{self.folder}: {problem}')
        self.rows = {kind: {name: i for i, name in enumerate(self.about[kind])} for kind in DTYPES}
        self._maps = {kind: self._open(kind, mode) for kind in DTYPES if self.rows[kind]}
        self._whole: set[tuple[str, str, int]] = set()  # maps whose checksum was found right
        self._sums = {kind: self._open(f'{kind}_checksum', mode) for kind in DTYPES if self.rows[kind]}

    def _open(self, name: str, mode: str) -> NDArray:
        return np.load(self.folder / f'{name}.npy', mmap_mode='r' if mode == 'r' else 'r+')

    @property
    def num_views(self) -> int:
        """Augmented maps per image; 0 if there is only the plain one."""
        return self.about['settings']['num_views']

    def write(self, kind: str, name: str, view: int, values: NDArray[np.float32]) -> None:
        """Store a map (C, h, w); ``view`` is 0 for a plain one."""
        place = (self.rows[kind][name], view)
        self._maps[kind][place] = values
        self._sums[kind][place] = _checksum(self._maps[kind][place])

    def has(self, kind: str, name: str, view: int) -> bool:
        """Whether a map is there and whole."""
        place = (self.rows[kind][name], view)
        checksum = self._sums[kind][place]
        return bool(checksum) and bool(checksum == _checksum(self._maps[kind][place]))

    def read(self, kind: str, name: str, view: int) -> NDArray[np.float32]:
        """A map (C, h, w), whose checksum is looked at when it is first read.

        Raises:
            CacheError: the image is not in the cache, or its map is unfinished or damaged.
        """
        if name not in self.rows[kind]:
            raise CacheError(
                f'{self.folder}: {name} has no {kind} map; run tools/cache_features.py with its meta file'
            )
        if (kind, name, view) not in self._whole and not self.has(kind, name, view):
            raise CacheError(
                f'{self.folder}: {kind} map {view} of {name} is unfinished or damaged; run the same '
                'tools/cache_features.py command again, which makes what is missing'
            )
        self._whole.add((kind, name, view))
        # torch: NumPy takes some thirty times as long for float16
        return torch.from_numpy(np.array(self._maps[kind][self.rows[kind][name], view])).float().numpy()


def open_for_writing(
    folder: Path,
    settings: dict[str, Any],
    names: dict[str, list[str]],
    files: dict[str, list[int]],
    shape: Sequence[int],
) -> FeatureCache:
    """Go on with the cache of a folder, or start one.

    Args:
        settings: what the maps depend on, beside the images; ``num_views`` among it.
        names: images that have plain maps, and those that have views.
        files: size and time of every image, see :func:`fingerprints`.
        shape: of a map (C, h, w).

    Raises:
        CacheError: the folder holds a cache of other settings or images.
    """
    about = dict(format_version=VERSIONS['feature_cache'], settings=settings, files=files, **names)
    about = json.loads(json.dumps(about))  # tuples become lists, as they read back
    if (folder / 'cache.json').is_file():
        check_same(folder, FeatureCache(folder).about, about)
        return FeatureCache(folder, 'r+')
    folder.mkdir(parents=True, exist_ok=True)
    for kind, dtype in DTYPES.items():
        per_image = settings['num_views'] if kind == 'views' else 1
        if names[kind]:
            size = (len(names[kind]), per_image)
            np.lib.format.open_memmap(folder / f'{kind}.npy', 'w+', dtype, (*size, *shape))
            np.lib.format.open_memmap(folder / f'{kind}_checksum.npy', 'w+', np.uint64, size)
    write_json(folder / 'cache.json', about)
    return FeatureCache(folder, 'r+')


def check_same(folder: Path, cached: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a cache of other settings, or of images that have changed; further images in it are welcome.

    Raises:
        CacheError: names what differs.
    """
    old, new = cached['settings'], json.loads(json.dumps(wanted['settings']))
    differing = [
        f'{key}: cached {old.get(key)!r}, now {new.get(key)!r}' for key in new if old.get(key) != new.get(key)
    ]
    differing += [f'image {n}' for n, about in wanted['files'].items() if cached['files'].get(n) != about]
    differing += [kind for kind in DTYPES if not set(wanted.get(kind, [])) <= set(cached[kind])]
    if differing:
        raise CacheError(
            f'{folder}: the feature cache is stale, {len(differing)} things differ ({differing[:3]}); '
            'delete the folder or name another, and run tools/cache_features.py'
        )


def fingerprints(paths: dict[str, str]) -> dict[str, list[int]]:
    """Path by image name -> size in bytes and time of change, in ns, by name."""
    stats = {name: os.stat(path) for name, path in paths.items()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _checksum(values: NDArray) -> int:
    """64 bits that are never 0, which stands for a map that is not there."""
    return int.from_bytes(hashlib.blake2b(values.tobytes(), digest_size=8).digest(), 'big') | 1
