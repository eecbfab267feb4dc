"""Pack a list of patches into one LMDB file, for drives that are slow to open many small files.

list.txt and the patches beside it -> patches.lmdb/, read with LoadMammogram(backend_args=dict(backend='lmdb',
db_path=...)) and a dataset whose data_root is empty, so that its paths are the keys
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.terminal import made


@command()
def main() -> None:
    """Pack; exit 2 with one message on bad input."""
    parser = tool_parser(__doc__, 'python tools/pack_patches.py data/patches/list.txt')
    parser.add_argument('list', type=Path, help='list.txt of tools/extract_patches.py')
    parser.add_argument('--out-dir', type=Path, help='without it patches.lmdb beside the list')
    args = parser.parse_args()

    from mammo.crops.patch_pack import pack

    out_dir = args.out_dir or args.list.parent / 'patches.lmdb'
    made(f'{out_dir} with {pack(args.list, out_dir)} patches')


if __name__ == '__main__':
    main()
