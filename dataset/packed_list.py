"""A list of items that many worker processes can share.

items (dicts) -> sequence of equal items, held as one block of bytes
"""

import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Item = dict[str, Any]


class PackedList(Sequence):
    """Read-only list of dicts; each access makes a fresh copy of the item.

    A forked worker that looks at a Python object writes its reference count, and so gets a private
    copy of that memory; bytes stay shared. The bytes are this object's own and never come from a file.
    The keys of an item stand once for all items that have the same.

    Args:
        items: what is packed.
        finished: packed item -> the item that an access gives; default: as it is.

    Example:
        >>> items = PackedList([dict(a=1), dict(a=2)])
        >>> len(items), items[-1]
        (2, {'a': 2})
    """

    def __init__(self, items: Iterable[Item], finished: Callable[[Item], Item] = dict) -> None:
        data, ends = bytearray(), [0]
        places: dict[tuple[str, ...], int] = {}
        for item in items:
            place = places.setdefault(tuple(item), len(places))
            data += pickle.dumps((place, *item.values()), protocol=pickle.HIGHEST_PROTOCOL)
            ends.append(len(data))
        self._data, self._ends = np.frombuffer(data, np.uint8), np.array(ends)
        self._keys, self._finished = list(places), finished

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        start = range(len(self))[index]
        place, *values = pickle.loads(self._data[self._ends[start] : self._ends[start + 1]].data)
        return self._finished(dict(zip(self._keys[place], values, strict=True)))
