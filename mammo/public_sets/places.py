"""Where the files lie that the table of a public set lists.

images with listed paths, folder -> images with absolute paths, number of files that are not there
"""

import logging
from collections import Counter
from pathlib import Path

import pandas as pd

from mammo.errors import UserError, listed
from mammo.records.meta import MetaError
from mammo.records.meta_items import check_path

logger = logging.getLogger(__name__)
PICTURES = ('.png', '.jpg', '.jpeg')


def with_pictures(images: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, int]:
    """PNG or JPEG files in the place of DICOM files, as ``png_path`` -> images, number of missing pictures.

    The picture of ``patient/image.dcm`` is called ``patient_image`` or ``patient/image``, in any subfolder.

    Raises:
        UserError: there is no such folder, or it has no picture of any image, or two of one.
    """
    if not folder.is_dir():
        raise UserError(f'--image-dir {folder}: no such folder')
    pictures: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob('*')):
        if path.suffix.lower() in PICTURES:
            for name in (path.stem, f'{path.parent.name}_{path.stem}'):
                pictures.setdefault(name, []).append(path)
    names = [Path(path).with_suffix('').as_posix().replace('/', '_') for path in images['dicom_path']]
    several = [f'{name} ({listed(pictures[name], 2)})' for name in names if len(pictures.get(name, [])) > 1]
    if several:
        raise UserError(f'{folder}: {len(several)} images have several pictures: {listed(several, 2)}')
    n_missing = sum(name not in pictures for name in names)
    if n_missing == len(names):
        raise UserError(
            f'{folder}: no picture of the {len(names)} listed images; expected names such as {names[0]}.png, '
            f'or {names[0].replace("_", "/", 1)}.png'
        )
    paths = [str(pictures[name][0] if name in pictures else folder / f'{name}.png') for name in names]
    return images.drop(columns='dicom_path').assign(png_path=paths), n_missing


def with_files(images: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, int]:
    """One row per file, with its absolute path -> images, number of files that are not there.

    A file that two listed paths could stand for is neither's.
    """
    places = {path: locate(path, root) for path in images['dicom_path']}
    claims = Counter(file for files in places.values() for file in files)
    for path, files in places.items():
        if any(claims[file] > 1 for file in files):
            places[path] = [path]
    images = images.assign(dicom_path=images['dicom_path'].map(places))
    images = images.explode('dicom_path').dropna(subset='dicom_path')
    n_missing = sum(not (root / path).is_file() for path in images['dicom_path'])
    if n_missing == len(images) > 0:
        example = root / images['dicom_path'].iloc[0]
        logger.warning('none of the %d files is there, such as %s; check --image-root', n_missing, example)
    return images.assign(dicom_path=[str(root / path) for path in images['dicom_path']]), n_missing


def locate(path: str, root: Path) -> list[str]:
    """Files that a listed path stands for: itself, all DICOM files of a folder, or the only one below its
    first folder, since download tools rename files; the path as it is if none is there.

    Raises:
        MetaError: the path leads out of ``root``.
    """
    if not path or path.startswith('/'):
        raise MetaError(f'the image path is {path!r}, expected one inside {root}')
    check_path(path, 'image')
    if (root / path).is_file():
        return [path]
    is_folder = (root / path).is_dir()
    below = root / path if is_folder else root / Path(path).parts[0]
    files = sorted(file.relative_to(root).as_posix() for file in below.rglob('*.dcm'))
    return files if is_folder or len(files) == 1 else [path]
