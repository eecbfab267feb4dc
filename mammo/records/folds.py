"""The folder of folds that tools/split.py writes: ``FOLDS/<outer>/<inner>/{train,val,test}.json``.

repeat and number of a test part <-> name of its outer fold
"""

import json
import os
import re
from pathlib import Path

PARTS = ('train', 'val', 'test')
REPORT = 'split_report.json'


def image_folder(meta: str | os.PathLike, first_image: str) -> Path | None:
    """The folder that image paths of a fold start from; None if it is not found.

    It is a folder above the meta file, as ``data/study`` of ``data/study/folds/0/0/train.json``, or the one
    that the split has noted.

    Args:
        meta: a part of a fold.
        first_image: path of one of its images, relative to the folder that is looked for.
    """
    above = Path(meta).resolve().parents
    noted = [folder / name for folder in above if (name := _noted(folder / REPORT))]
    folders = (folder.resolve() for folder in (*noted, *above))
    return next((folder for folder in folders if (folder / first_image).is_file()), None)


def _noted(report: Path) -> str:
    """Where the images are, seen from the folder of a split report; empty if it does not say."""
    try:
        return str(json.loads(report.read_text(encoding='utf-8')).get('images') or '')
    except (OSError, ValueError):
        return ''


def outer_name(fold: int, repeat: int | None = None) -> str:
    """Name of an outer fold: its number, or with several partitions ``r<repeat>f<fold>``."""
    return str(fold) if repeat is None else f'r{repeat}f{fold}'


def repeat_of(outer: str) -> str:
    """Which partition an outer fold belongs to; '' if there is only one.

    Example:
        >>> repeat_of('r1f4'), repeat_of('4')
        ('r1', '')
    """
    repeated = re.fullmatch(r'(r\d+)f\d+', outer)
    return repeated[1] if repeated else ''
