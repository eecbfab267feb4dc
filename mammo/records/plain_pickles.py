"""Pickles of lists, dicts, numbers and text; whatever would import a name, and could run code, is refused.

bytes -> plain value
"""

import io
import pickle
from typing import Any

from mammo.errors import UserError, listed
from mammo.records.pickles import asks_for_too_much, imported_names

# what a malformed pickle raises, beside UnpicklingError, before it is known to be malformed
FAULTS = (
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


class PlainUnpickler(pickle.Unpickler):
    """Reads lists, dicts, numbers and strings; whatever would import a name is refused."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Refuse every class and function: plain values need none.

        Raises:
            pickle.UnpicklingError: always.
        """
        raise pickle.UnpicklingError(f'it holds {module_name}.{global_name}')


def load_plain(data: bytes, place: str) -> Any:
    """Read a pickle of plain values.

    Raises:
        UserError: it holds anything else, is damaged, or asks for more memory than it has content.
    """
    try:
        if asks_for_too_much(data):
            raise pickle.UnpicklingError('it asks for more memory than it has content')
        return PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, *FAULTS) as error:
        names = sorted(set(imported_names(io.BytesIO(data))))
        found = f'it holds {listed(names)}, which could run code when loaded' if names else str(error)
        raise UserError(f'{place}: refused, not a pickle of plain values: {found}') from None
