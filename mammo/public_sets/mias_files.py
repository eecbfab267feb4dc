"""mini-MIAS as distributed to PNG and meta files, split by woman.

folder with Info.txt and mdb001 to mdb322 -> OUT/{png/, train.json, val.json, test.json}
"""

import tempfile
from pathlib import Path

import cv2
import pandas as pd

from mammo.errors import UserError, listed
from mammo.preprocess.picture.breast import NoBreastError, crop_to_breast
from mammo.public_sets import mias
from mammo.records.meta import write_meta

SUFFIXES = ('.pgm', '.png')


def write_data_set(src: Path, out_dir: Path, seed: int) -> pd.DataFrame:
    """Convert all films -> a row per split: images, women, positives.

    Raises:
        UserError: the folder is not mini-MIAS as distributed, or ``out_dir`` holds something.
    """
    try:
        films = mias.parse_info((src / 'Info.txt').read_text(encoding='latin-1'))
        paths = find_images(src, films)
        if out_dir.exists() and any(out_dir.iterdir()):
            raise UserError(f'{out_dir} is not empty; remove it or choose another --out-dir')
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix='.tmp-') as tmp:
            table = convert(films, paths, Path(tmp) / 'mias', seed)
            (Path(tmp) / 'mias').replace(out_dir)
    except OSError as error:
        remedy = '--src needs Info.txt as distributed, --out-dir a place to write to'
        raise UserError(f'{error.filename}: {error.strerror}; {remedy}') from None
    return table


def find_images(src: Path, films: list[mias.Film]) -> list[Path]:
    """Path of each film's image; all that are missing are named in one error."""
    files = (path for path in (*src.glob('mdb*'), *src.glob('images/mdb*')) if path.suffix in SUFFIXES)
    by_name = {path.stem: path for path in files}
    missing = [film.name for film in films if film.name not in by_name]
    if missing:
        raise UserError(f'{src}: {len(missing)} films have no .pgm or .png file: {listed(missing)}')
    return [by_name[film.name] for film in films]


def convert(films: list[mias.Film], paths: list[Path], out_dir: Path, seed: int) -> pd.DataFrame:
    """Write png/ and the meta files -> one row per split: images, women, positives."""
    (out_dir / 'png').mkdir(parents=True)
    items = []
    for film, path in zip(films, paths, strict=True):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise UserError(f'{path}: cannot be decoded as an image; fetch it again')
        try:
            crop, box = crop_to_breast(image, spacing_mm=mias.SPACING_MM)
        except NoBreastError as error:
            raise UserError(f'{path}: {error}') from None
        items.append(mias.meta_item(film, image.shape[0], box))
        if not cv2.imwrite(str(out_dir / items[-1]['img_path']), crop):
            raise OSError(f'cannot write {items[-1]["img_path"]}')
    rows = {}
    for split, women in mias.split_women(films, seed).items():
        part = [item for item in items if item['patient_id'] in women]
        write_meta(out_dir / f'{split}.json', part, mias.TASKS)
        positives = pd.DataFrame([item['gt_label'] for item in part])[['malignant', 'abnormal']].sum()
        rows[split] = dict(images=len(part), women=len(women), **positives)
    return pd.DataFrame(rows).T
