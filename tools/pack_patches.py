"""Pack a list of patches into one LMDB file, for drives that are slow to open many small files.

list.txt and the patches beside it -> patches.lmdb/, read with LoadMammogram(backend_args=dict(backend='lmdb',
db_path=...)) and a dataset whose data_root is empty, so that its paths are the keys
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

BATCH = 1000  # patches per transaction


def pack(list_path: Path, out_dir: Path) -> int:
    """Write the data base in one move -> number of patches.

    Raises:
        OSError: a patch is missing, or the disk is full.
        ValueError: the list is empty, or ``out_dir`` exists.
    """
    import lmdb  # not among the requirements: pip install lmdb

    keys = list(dict.fromkeys(filter(None, map(str.strip, list_path.read_text('utf-8-sig').split('\n')))))
    if not keys or out_dir.exists():
        raise ValueError(f'{out_dir} exists; remove it first' if keys else f'{list_path}: the list is empty')
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
            raise ValueError(f'{out_dir}: {error}') from None
        Path(tmp, 'db').replace(out_dir)
    return len(keys)


def main() -> None:
    """Pack; exit 2 with one message on bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('list', type=Path, help='list.txt of tools/extract_patches.py')
    parser.add_argument('--out-dir', type=Path, help='default: patches.lmdb beside the list')
    args = parser.parse_args()
    out_dir = args.out_dir or args.list.parent / 'patches.lmdb'
    try:
        n_patches = pack(args.list, out_dir)
    except ImportError:
        parser.error('the lmdb package is missing: pip install lmdb')
    except OSError as error:
        parser.error(f'{error.filename or out_dir}: {error.strerror}')
    except ValueError as error:
        parser.error(str(error))
    print(f'{n_patches} patches -> {out_dir}')


if __name__ == '__main__':
    main()
