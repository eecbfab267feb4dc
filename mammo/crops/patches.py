"""Square patches of the breast, what pretraining learns from.

(H, W) grey image, settings -> corners of windows that lie in the breast; list of patches -> patient ids
"""

import json
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo.errors import UserError
from mammo.preprocess.errors import Reason
from mammo.preprocess.images import write_png
from mammo.preprocess.picture.breast import NoBreastError, breast_mask
from mammo.records.meta import MetaError
from mammo.records.storage.png import ImageFileError, read_grey, to_uint8
from mammo.records.versions import VERSIONS

FORMAT_VERSION = VERSIONS['patches']
RECORD, LIST = 'patches.json', 'list.txt'


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """What a patch is, and how many an image gives."""

    size_px: int = 512
    stride_px: int = 256
    min_breast_frac: float = 0.5
    max_per_image: int | None = None
    seed: int = 0  # of the choice among more windows than max_per_image

    def __post_init__(self) -> None:
        smallest = min(self.size_px, self.stride_px, 1 if self.max_per_image is None else self.max_per_image)
        if smallest < 1 or not 0 <= self.min_breast_frac <= 1 or self.seed < 0:
            raise UserError(f'{self}: size, stride and maximum start at 1, the fraction is 0 to 1')


def window_starts(length: int, size: int, stride: int) -> NDArray[np.int64]:
    """First pixels of the windows along one side; the last window is flush with the end. -> (n,)"""
    last = length - size
    if last < 0:
        return np.zeros(0, np.int64)
    starts = np.arange(0, last + 1, stride, dtype=np.int64)
    return starts if starts[-1] == last else np.append(starts, last)


def breast_fracs(
    mask: NDArray[np.bool_], tops: NDArray[np.int64], lefts: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Share of breast in each window, by an integral image. (H, W), (r,), (c,) -> (r, c)"""
    # sum over a rectangle by four table look-ups: Crow, SIGGRAPH 1984
    table = cv2.integral(mask.astype(np.uint8)).astype(np.int64)  # (H + 1, W + 1)
    top, left = tops[:, None], lefts[None]
    bottom, right = top + size, left + size
    inside = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return inside / size**2


def choose_windows(mask: NDArray[np.bool_], settings: PatchSettings, name: str) -> list[tuple[int, int]]:
    """Corners (top, left) of the windows with enough breast, row by row, at most ``max_per_image``.

    The choice depends on the seed and the image's name only, not on which other images there are.
    """
    tops, lefts = (window_starts(side, settings.size_px, settings.stride_px) for side in mask.shape)
    rows, columns = np.nonzero(breast_fracs(mask, tops, lefts, settings.size_px) >= settings.min_breast_frac)
    corners = [(int(top), int(left)) for top, left in zip(tops[rows], lefts[columns], strict=True)]
    if settings.max_per_image is None or len(corners) <= settings.max_per_image:
        return corners
    rng = np.random.default_rng([settings.seed, zlib.crc32(name.encode())])
    chosen = rng.choice(len(corners), settings.max_per_image, replace=False)
    return [corners[i] for i in sorted(chosen)]


def folder_of(name: str) -> str:
    """Folder of an image's patches: two images of one file name in two folders stay apart."""
    stem = re.sub(r'[^A-Za-z0-9_.-]', '_', PurePosixPath(name).stem)
    return f'png/{stem}_{zlib.crc32(name.encode()):08x}'


def extract(
    item: dict[str, Any],
    data_root: Path,
    out_dir: Path,
    settings: PatchSettings,
    announce: Callable[[list[str]], None] | None = None,
) -> dict[str, Any]:
    """Write the patches of one image of a meta file.

    Args:
        announce: is told the paths before the first is written.

    Returns:
        dict: ``img_path``, ``patient_id``, ``folder``, ``patches`` (paths relative to ``out_dir``); or
        ``reason`` and ``message`` if the image gives none.
    """
    name = item['img_path']
    record = dict(img_path=name, patient_id=item.get('patient_id'), folder=folder_of(name), patches=[])
    try:
        image, bits = read_grey(data_root / name)
        if min(image.shape) < settings.size_px:
            size = f'{image.shape[1]} x {image.shape[0]} px'
            return record | dict(reason='TOO_SMALL', message=f'{size}, a patch has {settings.size_px}')
        vendor = item.get('manufacturer') or 'default'
        mask = breast_mask(image, vendor=vendor, spacing_mm=item.get('spacing_mm'))
    except ImageFileError as error:
        return record | dict(reason=str(Reason.UNREADABLE), message=str(error))
    except NoBreastError as error:
        return record | dict(reason=str(Reason.NO_BREAST), message=str(error))
    corners, grey = choose_windows(mask, settings, name), to_uint8(image, bits=bits)
    if not corners:
        share = f'{settings.min_breast_frac:.0%}'
        return record | dict(reason='NO_WINDOW', message=f'no window shows at least {share} breast')
    record['patches'] = [f'{record["folder"]}/y{top:05d}_x{left:05d}.png' for top, left in corners]
    if announce:
        announce(record['patches'])
    for path, (top, left) in zip(record['patches'], corners, strict=True):
        write_png(out_dir / path, grey[top : top + settings.size_px, left : left + settings.size_px])
    return record


def select(metas: Iterable[Sequence[dict]], excluded: Iterable[dict]) -> list[dict[str, Any]]:
    """Images of the meta files, each once, without those of patients (or files) that are excluded.

    Raises:
        MetaError: patients are excluded, and an image does not say whose it is.
    """
    images = {item['img_path']: item for items in metas for item in items}
    barred = list(excluded)
    unknown = [item['img_path'] for item in (*barred, *images.values()) if item.get('patient_id') is None]
    if barred and unknown:
        raise MetaError(f'{len(unknown)} images have no patient_id, for example {unknown[0]}; without it '
                        'nobody can tell whether they belong to an excluded patient')  # fmt: skip
    patients = {item['patient_id'] for item in barred}
    files = {item['img_path'] for item in barred}
    return [i for name, i in images.items() if name not in files and i.get('patient_id') not in patients]


def patients_of_list(path: str | Path) -> set[str]:
    """Patients whose patches a list of ``tools/extract_patches.py`` (or a part of one) names.

    Raises:
        MetaError: ``patches.json`` beside the list is missing, or does not know whose a patch is.
    """
    path = Path(path)
    try:
        record = json.loads((path.parent / RECORD).read_text(encoding='utf-8'))
        owner = {source['folder']: source['patient_id'] for source in record['sources']}
        lines = path.read_text(encoding='utf-8-sig').split('\n')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MetaError(
            f'{path}: cannot tell whose patches these are: {error}; a list lies beside {RECORD}, as '
            'tools/extract_patches.py writes them'
        ) from None
    folders = {str(PurePosixPath(line.strip()).parent) for line in lines if line.strip()}
    if unknown := sorted(folder for folder in folders if owner.get(folder) is None):
        raise MetaError(
            f'{path}: {len(unknown)} images have no patient in {RECORD}, for example {unknown[0]}; add '
            'patient_id to the meta file and extract the patches again'
        )
    return {owner[folder] for folder in folders}
