"""Where a run's checkpoints lie, and which of them to go on from.

folder, last_checkpoint -> checkpoint files, newest first; bytes -> file with its SHA-256 beside it
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from mmengine.config import Config
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import CheckpointLoader

from mammo.engine.launch import on_main_process
from mammo.engine.loading.checkpoint import CheckpointError
from mammo.engine.log import warn
from mammo.records.storage.files import remove_hashed, sidecar_of, write_hashed
from mammo.records.storage.lock import locked as locked_file

LOCK = 'train.lock'
INTERRUPTED = '_interrupted'  # epoch_3_interrupted.pth: three epochs and a part of the fourth
Age = tuple[int, bool]  # finished epochs, whether a part of the next one is done as well


@register_backend('hashed')
class HashedBackend(LocalBackend):
    """Local files that replace others only when they are safe, each with its SHA-256 beside it."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file.

        Raises:
            CheckpointError: no room, or no permission; what stood there before is untouched.
        """
        with saving(filepath):
            write_hashed(filepath, obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file and the hash beside it."""
        remove_hashed(filepath)


@contextmanager
def saving(path: str | Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f'{path}: not saved: {error.strerror or error}. What was saved before is untouched: mend the '
            'folder (free space, permissions) and go on with --resume'
        ) from None


@contextmanager
def locked(*folders: Path) -> Iterator[None]:
    """Hold the folders of a run; the kernel gives them back when its process ends, killed or not.

    Raises:
        UserError: another run holds one of them.
        CheckpointError: a folder cannot be written.
    """
    with ExitStack() as stack:
        for folder in dict.fromkeys(path.resolve() for path in folders):
            with saving(folder):
                lock = locked_file(folder / LOCK, 'is training into', 'choose another --work-dir')
                stack.enter_context(lock)
        yield


def checkpoint_folder(cfg: Config) -> Path:
    """Where the checkpoints of a run lie: in ``out_dir`` if that is given, else in its work dir."""
    return Path(os.path.abspath(_hook(cfg).get('out_dir') or cfg.work_dir))


def resumable(cfg: Config) -> list[Path]:
    """Checkpoints that a run may go on from, newest first, by their numbers and never by their times.

    None is newer than the one that ``last_checkpoint`` names: that would be of an earlier run in the folder.
    """
    unit = 'epoch' if _hook(cfg).get('by_epoch', True) else 'iter'
    template = _hook(cfg).get('filename_tmpl') or unit + '_{}.pth'
    pointer = _pointer(Path(cfg.work_dir))
    newest = _age(pointer, template) if pointer else None
    ages = {path: age for path in checkpoint_folder(cfg).glob('*') if (age := _age(path, template))}
    paths = sorted(
        (p for p in ages if newest is None or ages[p] <= newest), key=ages.__getitem__, reverse=True
    )
    if pointer and pointer.is_file() and pointer.name not in {path.name for path in paths}:
        paths.insert(0, pointer)
    return paths


def find_intact(cfg: Config) -> str | None:
    """The newest checkpoint that is not damaged, the same for all processes; None if there is no checkpoint.

    Raises:
        CheckpointError: all are damaged.
        Exception: what stopped the main process, such as exhausted memory; in the others a UserError.
    """

    def newest() -> str | None:
        paths = resumable(cfg)
        return str(newest_intact(paths)) if paths else None

    return on_main_process(newest)


def newest_intact(paths: list[Path]) -> Path:
    """The first checkpoint that loads; those that do not are named in warnings.

    Raises:
        CheckpointError: none loads.
    """
    problems: list[str] = []
    for path in paths:
        try:
            CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if problems:
            damage = '; '.join(problems)
            warn(f'{damage}. Resuming from the newest intact one: {path}')
        return path
    raise CheckpointError(f'{"; ".join(problems)}. To start anew, leave out --resume')


def set_aside(folder: Path, work_dir: Path, template: str) -> None:
    """Move an earlier run's checkpoints to ``earlier_<time>``, so that a new run is never mixed up with it.

    Raises:
        CheckpointError: the disk refuses.
    """
    old = [path for path in folder.glob('*.*') if path.match('best_*.pth') or _age(path, template)]
    aside = folder / f'earlier_{datetime.now():%Y%m%d_%H%M%S_%f}'
    with saving(aside):
        (work_dir / 'last_checkpoint').unlink(missing_ok=True)
        for path in old:
            aside.mkdir(exist_ok=True)
            for file in filter(Path.exists, (path, sidecar_of(path))):
                file.rename(aside / file.name)
    if old:
        warn(
            f'{folder} held {len(old)} checkpoints of an earlier run: moved to {aside.name}, remove them if '
            'they are not needed. To go on with that run, move them back and use --resume'
        )


def clean(folder: Path) -> None:
    """Remove what killed processes left behind: temporary files, and hashes without a file."""
    for pattern in ('.tmp-*.pth', '.tmp-*.sha256'):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    for sidecar in folder.glob('*.pth.sha256'):
        if not sidecar.with_suffix('').exists():
            sidecar.unlink(missing_ok=True)


def remove_interrupted(folder: Path, newest: Path) -> None:
    """Remove what interrupted runs saved, all but the newest."""
    for path in folder.glob(f'*{INTERRUPTED}.*'):
        if path not in (newest, sidecar_of(newest)):
            path.unlink(missing_ok=True)


def _hook(cfg: Config) -> dict:
    return (cfg.get('default_hooks') or {}).get('checkpoint') or {}


def _age(path: Path, template: str) -> Age | None:
    """What a checkpoint's name says of its age; None for the best one and for other files."""
    stem, suffix = os.path.splitext(template)
    pattern = re.escape(stem).replace(re.escape('{}'), r'(\d+)') + f'({INTERRUPTED})?' + re.escape(suffix)
    match = re.fullmatch(pattern, path.name)
    return (int(match[1]), bool(match[2])) if match else None


def _pointer(work_dir: Path) -> Path | None:
    """The file that ``last_checkpoint`` names; None if there is no such record."""
    try:
        name = (work_dir / 'last_checkpoint').read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Path(name) if name else None
