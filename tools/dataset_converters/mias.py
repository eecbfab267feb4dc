"""Convert mini-MIAS: crop the breast, write 8-bit PNG, and train, val and test meta files by woman.

SRC as distributed: Info.txt, and mdb001 to mdb322 as .pgm or .png in it or in SRC/images.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import pandas as pd

from mammo.preprocess.breast import NoBreastError, crop_to_breast
from mammo.public_sets import mias
from mammo.records.meta import write_meta


def main() -> None:
    """Parse the command line, convert, and print the table of splits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--src', type=Path, required=True, help='mini-MIAS folder')
    parser.add_argument('--out-dir', type=Path, required=True, help='new or empty folder')
    parser.add_argument('--seed', type=int, default=0, help='of the split')
    args = parser.parse_args()
    try:
        films = mias.parse_info((args.src / 'Info.txt').read_text(encoding='latin-1'))
        paths = find_images(args.src, films)
        if args.out_dir.exists() and any(args.out_dir.iterdir()):
            raise ValueError(f'{args.out_dir} is not empty; remove it or choose another --out-dir')
        args.out_dir.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=args.out_dir.parent, prefix='.tmp-') as tmp:
            table = convert(films, paths, Path(tmp) / 'mias', args.seed)
            (Path(tmp) / 'mias').replace(args.out_dir)
    except OSError as error:
        parser.error(f'{error}; --src needs Info.txt as distributed, --out-dir a place to write to')
    except ValueError as error:
        parser.error(str(error))
    print(table.to_string())


def find_images(src: Path, films: list[mias.Film]) -> list[Path]:
    """Path of each film's image; all that are missing are named in one error."""
    found = {
        path.stem: path
        for path in (*src.glob('mdb*'), *src.glob('images/mdb*'))
        if path.suffix in ('.pgm', '.png')
    }
    missing = [film.name for film in films if film.name not in found]
    if missing:
        raise ValueError(f'{src}: {len(missing)} films have no .pgm or .png file: {", ".join(missing)}')
    return [found[film.name] for film in films]


def convert(films: list[mias.Film], paths: list[Path], out_dir: Path, seed: int) -> pd.DataFrame:
    """Write png/ and the meta files. -> one row per split: images, women, positives."""
    (out_dir / 'png').mkdir(parents=True)
    items = []
    for film, path in zip(films, paths, strict=True):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise ValueError(f'{path}: cannot be decoded as an image; fetch it again')
        try:
            crop, box, _ = crop_to_breast(image, spacing_mm=mias.SPACING_MM)
        except NoBreastError as error:
            raise ValueError(f'{path}: {error}') from None
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


if __name__ == '__main__':
    main()
