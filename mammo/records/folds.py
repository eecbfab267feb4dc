"""The folder of folds that tools/split.py writes: ``FOLDS/<outer>/<inner>/{train,val,test}.json``.

repeat and number of a test part <-> name of its outer fold
"""

import re

PARTS = ('train', 'val', 'test')


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
