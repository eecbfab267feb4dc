"""What differs between two nested values, such as the settings of two runs.

dicts, lists, scalars -> place, old and new value of each difference
"""

from collections.abc import Iterator
from typing import Any


def differences(old: Any, new: Any, place: str = '') -> Iterator[tuple[str, Any, Any]]:
    """Differences in the order of the keys; what one side lacks is None there.

    Example:
        >>> list(differences(dict(a=1, b=dict(c=[1, 2])), dict(a=1, b=dict(c=[1, 3]))))
        [('b.c[1]', 2, 3)]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), f'{place}.{key}' if place else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f'{place}[{i}]')
    elif old != new:
        yield place, old, new
