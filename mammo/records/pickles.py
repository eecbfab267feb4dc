"""Files that may hold pickles: what they would run is listed, and nothing of it is run.

.pth of any of torch's formats -> its tensors and plain values; pickle -> names that it would import
"""

import _compat_pickle
import os
import pickletools
import re
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

from mammo.errors import UserError, listed
from mammo.records.files import hash_problem, sidecar_of

# what torch raises for files that are no checkpoints
DAMAGED = (RuntimeError, EOFError, OSError, KeyError, IndexError, AttributeError, ValueError, TypeError,
           AssertionError, MemoryError, UnpicklingError, struct.error)  # fmt: skip
# what numpy raises for files that are no arrays
DAMAGED_ARRAYS = (OSError, EOFError, KeyError, ValueError, SyntaxError, tokenize.TokenError, MemoryError,
                  NotImplementedError, zipfile.BadZipFile, zlib.error)  # fmt: skip
# what torch, CUDA, numpy and the system say
NO_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|ALLOC_FAILED", re.I)
LARGEST_PICKLE_BYTES = 1 << 28  # of a member of an archive; the tensors lie in members of their own
PUT = ('PUT', 'BINPUT', 'LONG_BINPUT')  # opcodes that number an object


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
        names = [] if trust else unsafe_names(path)
        format_needs_code = 'weights_only=True' in str(error)  # TorchScript, tar files of old torch
        if names or format_needs_code or isinstance(error, UnpicklingError):
            found = listed(names) if names else 'it cannot be read as such'
            raise CheckpointError(
                f'{path}: refused, since it is damaged or holds more than tensors and plain values, which '
                f'could run code: {found}. If you trust its origin, open it with --trust-checkpoint'
            ) from None
        first_line = str(error).split('\n')[0]
        raise CheckpointError(f'{path}: not a readable checkpoint: {first_line or repr(error)}') from None


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error is of exhausted memory, of the machine or of a GPU."""
    return isinstance(error, MemoryError) or bool(NO_MEMORY.search(str(error)))


def unsafe_names(path: Path) -> list[str]:
    """Names that loading a .pth file would import, beyond those of tensors and plain values."""
    from torch import _weights_only_unpickler as torch_rules

    try:
        names = {name for stream in _pickles(path) for name in imported_names(stream)}
    except (*DAMAGED, zipfile.BadZipFile, tarfile.TarError, zlib.error):
        return []
    return sorted(names - set(torch_rules._get_allowed_globals()))


def imported_names(stream: IO[bytes]) -> Iterator[str]:
    """Names that a stream of pickles would import, up to its first damage."""
    try:
        while True:
            yield from _names_of_one(stream)
    except (ValueError, EOFError, OverflowError, MemoryError, AttributeError):
        return  # the end, or what is no pickle any more


def asks_for_too_much(data: bytes) -> bool:
    """Whether a pickle numbers an object beyond its own length, for which a list as long would be made."""
    try:
        steps = ((opcode.name, argument) for opcode, argument, _ in pickletools.genops(data))
        return any(name in PUT and int(argument or 0) > len(data) for name, argument in steps)
    except (ValueError, OverflowError, MemoryError):
        return False  # damaged; up to here it asked for little


def _names_of_one(stream: IO[bytes]) -> Iterator[str]:
    texts: list[str] = []  # as they come onto the stack
    memo: dict[int, str] = {}
    last = ''
    for opcode, found, _ in pickletools.genops(stream):
        name, argument = opcode.name, found if isinstance(found, str | int) else ''
        if name in ('GLOBAL', 'INST'):
            yield _modern_name(*str(argument).split(' ', 1))
        elif name == 'STACK_GLOBAL':
            yield _modern_name(*(['?', '?', *texts][-2:]))
        elif name.startswith('EXT'):
            yield f'copyreg extension {argument}'
        elif name in ('MEMOIZE', *PUT):
            memo[len(memo) if name == 'MEMOIZE' else int(argument)] = last
            continue
        last = memo.get(int(argument), '?') if name.endswith('GET') else str(argument)
        if name.endswith('GET') or isinstance(found, str):
            texts = [*texts[-1:], last]


def _modern_name(module: str, name: str) -> str:
    """The name that Python 3 gives to what protocols 0 to 2 call by its name of Python 2."""
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    return f'{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}'


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """Streams of pickles in a file: .pkl members of a zip, all members of a tar, else the file itself."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith('.pkl') and member.file_size < LARGEST_PICKLE_BYTES:
                    with archive.open(member) as file:
                        yield file
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            yield from filter(None, (tar.extractfile(member) for member in tar if member.isfile()))
    else:
        with path.open('rb') as file:
            yield file
