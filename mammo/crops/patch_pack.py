"""Many small files as one.

list of patches -> LMDB data base whose keys are their paths
"""

import tempfile
from pathlib import Path

from tqdm import tqdm

from mammo.errors import UserError

BATCH = 1000  # patches per transaction


def pack(list_path: Path, out_dir: Path) -> int:
    """Write the data base in one move -> number of patches.

    Raises:
        OSError: a patch is missing, or the disk is full.
        UserError: the list is empty, ``out_dir`` exists, or the lmdb package is missing.
    """
    try:
        import lmdb  # not among the requirements
    except ImportError:
        raise UserError('the lmdb package is missing: pip install lmdb') from None
    keys = list(dict.fromkeys(filter(None, map(str.strip, list_path.read_text('utf-8-sig').split('\n')))))
    if not keys or out_dir.exists():
        raise UserError(f'{out_dir} exists; remove it first' if keys else f'{list_path}: the list is empty')
    n_bytes = sum((list_path.parent / key).stat().st_size + len(key) + 8192 for key in tqdm(keys, 'sizes'))
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix='.tmp-') as tmp:
        try:
            with lmdb.open(f'{tmp}/db', map_size=2 * n_bytes + 2**20) as base:  # the limit, not the size
                for start in tqdm(range(0, len(keys), BATCH), 'packing', unit_scale=BATCH):
                    with base.begin(write=True) as transaction:
                        for key in keys[start : start + BATCH]:
                            transaction.put(key.encode('ascii'), (list_path.parent / key).read_bytes())
        except (lmdb.Error, UnicodeEncodeError) as error:  # the framework reads ASCII keys only
            raise UserError(f'{out_dir}: {error}') from None
        Path(tmp, 'db').replace(out_dir)
    return len(keys)
