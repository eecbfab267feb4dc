"""Checkpoints may hold pickles: what they would run is named, and nothing of it is run.

.pth of any of torch's formats -> its tensors and plain values
"""

import codecs
import os
import re
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from mammo.errors import UserError, listed
from mammo.records.storage.files import hash_problem, sidecar_of

# what torch raises for files that are no checkpoints
DAMAGED = (RuntimeError, EOFError, OSError, KeyError, IndexError, AttributeError, ValueError, TypeError,
           AssertionError, MemoryError, UnpicklingError, struct.error)  # fmt: skip
# what numpy raises for files that are no arrays
DAMAGED_ARRAYS = (OSError, EOFError, KeyError, ValueError, SyntaxError, tokenize.TokenError, MemoryError,
                  NotImplementedError, zipfile.BadZipFile, zlib.error)  # fmt: skip
# Only CUDA has an error of its own: torch's CPU allocator, cuDNN and mmap raise RuntimeError and OSError.
NO_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|ALLOC_FAILED", re.I)

NO_WEIGHTS = (
    'no weights, but text that begins with {!r} (an error page, a pointer of Git LFS); fetch it again'
)


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, unsafe or of another model."""


def load_tensors(path: str | os.PathLike, *, trust: bool = False, map_location: Any = 'cpu') -> Any:
    """Load a .pth file of tensors and plain values; with ``trust`` as a pickle, which may run any code.

    Raises:
        CheckpointError: the file is missing, damaged or other than its .sha256 says, or would run code.
        MemoryError, RuntimeError: memory ran out.
    """
    import torch  # late: the preprocessing tools need none

    path = Path(path).expanduser()
    try:
        problem = hash_problem(path) if path.is_file() else None
    except OSError as error:
        raise CheckpointError(f'{path}: cannot be read: {error.strerror or error}') from None
    if problem:
        raise CheckpointError(problem)
    try:
        return torch.load(path, map_location=map_location, weights_only=not trust)
    except FileNotFoundError:
        raise CheckpointError(f'{path}: no such checkpoint') from None
    except DAMAGED as error:
        if memory_ran_out(error) and (
            isinstance(error, torch.OutOfMemoryError) or sidecar_of(path).is_file()
        ):
            raise  # the file is whole; one without a hash may ask for too much since it is damaged
        names = [] if trust else unsafe_names(path, str(error))
        format_needs_code = 'weights_only=True' in str(error)  # TorchScript, tar files of old torch
        if text := text_start(path):
            raise CheckpointError(f'{path}: {NO_WEIGHTS.format(text)}') from None
        if names or format_needs_code or isinstance(error, UnpicklingError):
            reason = listed(names) if names else 'it cannot be read as such'
            raise CheckpointError(
                f'{path}: refused, since it is damaged or holds more than tensors and plain values, which '
                f'could run code: {reason}. If you trust its origin, open it with --trust-checkpoint; of '
                'start weights tools/convert_weights.py --source same --trust-checkpoint makes a plain file'
            ) from None
        first_line = str(error).split('\n')[0]
        raise CheckpointError(f'{path}: not a readable checkpoint: {first_line or repr(error)}') from None


def text_start(path: Path) -> str:
    """How a file begins that is text, as a web page is; '' of any other, and where there is none."""
    try:
        with path.open('rb') as file:
            start = file.read(60)
    except OSError:
        return ''
    try:
        words = ' '.join(codecs.getincrementaldecoder('utf-8-sig')().decode(start).split())
    except UnicodeDecodeError:
        return ''
    return words if words.isprintable() else ''


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error is of exhausted memory, of the machine or of a GPU."""
    return isinstance(error, MemoryError) or bool(NO_MEMORY.search(str(error)))


def unsafe_names(path: Path, refusal: str) -> list[str]:
    """Names that loading a .pth file would import; of another format than a zip, the one that torch names.

    Args:
        refusal: what torch says of the file.
    """
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except DAMAGED:
        return re.findall(r'GLOBAL (\S+)', refusal)
