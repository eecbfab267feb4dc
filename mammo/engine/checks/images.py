"""Each image of a run is decoded once; what was found whole is remembered.

paths -> nothing, or one error that lists every file to mend
"""

import functools
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
from tqdm import tqdm

from mammo.engine.log import tell, warn
from mammo.errors import DataError, listed
from mammo.records.storage.files import sha256_of_bytes
from mammo.records.storage.png import ImageFileError, check_image

MAX_DECODED = 20_000  # images of a split


def check_images(*lists: Iterable[str]) -> None:
    """Decode each local image file once; of a list longer than ``MAX_DECODED`` only see that it is there.

    To decode 240,000 patches takes a quarter of an hour, to list their folders a second. A damaged one
    among them is met in training, replaced by another and counted.

    Raises:
        DataError: lists every file that is missing or damaged.
    """
    local = [{path for path in paths if '://' not in path} for paths in lists]
    large = set().union(*(paths for paths in local if len(paths) > MAX_DECODED))
    small = set().union(*local) - large
    problems = _missing(sorted(large)) + _damaged(sorted(small))
    if problems:
        n_images = len(large) + len(small)
        raise DataError(
            f'{len(problems)} of {n_images} images cannot be used; mend or remove them: {listed(problems)}'
        )


def _missing(paths: list[str]) -> list[str]:
    """What is wrong with files, by one listing per folder: quick for many files, on network drives too."""
    if paths:
        tell(f'{len(paths)} images: checking that they are there, without decoding them')
    names_in = functools.cache(_names_in)
    missing = [path for path in paths if os.path.basename(path) not in names_in(os.path.dirname(path))]
    return [f'{path}: No such file' for path in missing]


def _names_in(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder or '.'))
    except OSError:
        return frozenset()


def _damaged(local: list[str]) -> list[str]:
    """What is wrong with files, by decoding those that were not found whole before."""
    cache = _cache_file()
    whole = _remembered(cache)
    unknown = [(path, key) for path in local if (key := _fingerprint(path)) not in whole]
    if unknown:
        tell(f'checking {len(unknown)} of {len(local)} images (the others were found whole before)')
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        results = pool.map(_problem_with, (path for path, _ in unknown))
        problems = list(tqdm(results, 'checking images', len(unknown), disable=len(unknown) < 1000))
    _remember(cache, [key for (_, key), problem in zip(unknown, problems, strict=True) if not problem])
    return [problem for problem in problems if problem]


def _problem_with(path: str) -> str | None:
    try:
        check_image(path)
    except ImageFileError as error:
        return str(error)
    return None


def _fingerprint(path: str) -> str:
    """Hash of path, size and time of a file; of the path alone if there is no file."""
    file = Path(path)
    stat = file.stat() if file.is_file() else None
    identity = f'{file.resolve()}|{stat and stat.st_size}|{stat and stat.st_mtime_ns}'
    return sha256_of_bytes(identity.encode())


def _cache_file() -> Path:
    return (
        Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'mammo_lnm' / 'checked_images.txt'
    )


def _remembered(cache: Path) -> set[str]:
    try:
        return set(cache.read_text().split())
    except (OSError, UnicodeDecodeError):  # none yet, or unreadable: check all again
        return set()


def _remember(cache: Path, keys: list[str]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with cache.open('a') as file:
            file.writelines(f'{key}\n' for key in keys)
    except OSError as error:
        warn(f'{cache}: cannot remember which images were checked: {error}')
