"""Pickles of lists, dicts, numbers and text; whatever would import a name, and could run code, is refused.

bytes -> plain value
"""

import io
import pickle
import pickletools
from typing import Any

from mammo.errors import UserError

PUT = ('PUT', 'BINPUT', 'LONG_BINPUT')  # opcodes that number an object


class PlainUnpickler(pickle.Unpickler):
    """Reads lists, dicts, numbers and strings; whatever would import a name is refused."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Refuse every class and function: plain values need none.

        Raises:
            pickle.UnpicklingError: always.
        """
        raise pickle.UnpicklingError(
            f'it holds {module_name}.{global_name}, which could run code when loaded'
        )


def load_plain(data: bytes, place: str) -> Any:
    """Read a pickle of plain values.

    Raises:
        UserError: it holds anything else, is damaged, or asks for more memory than it has content.
    """
    try:
        if asks_for_too_much(data):
            raise pickle.UnpicklingError('it asks for more memory than it has content')
        return PlainUnpickler(io.BytesIO(data)).load()
    except Exception as error:  # a malformed one raises nearly anything
        raise UserError(f'{place}: refused, not a pickle of plain values: {error}') from None


def asks_for_too_much(data: bytes) -> bool:
    """Whether a pickle numbers an object beyond its own length, for which a list as long would be made."""
    try:
        steps = ((opcode.name, argument) for opcode, argument, _ in pickletools.genops(data))
        return any(name in PUT and int(argument or 0) > len(data) for name, argument in steps)
    except (ValueError, OverflowError, MemoryError):
        return False  # damaged; up to here it asked for little
