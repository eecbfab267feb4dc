# PYTHON_ARGCOMPLETE_OK
"""Join clinical table, mammogram features and splits by patient id into the files that mlp.py reads.

TABLE, SCHEMA, features.npz, folder of {train,val,test}.json -> {split}_*.npy and schema.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.terminal import made


@command()
def main() -> None:
    """Parse, build."""
    parser = tool_parser(
        __doc__,
        'python tools/build_fusion.py --clinical clinical.csv --schema configs/clinical/example.yaml '
        '--features features.npz --splits folds/0/0 --label N --out-dir fusion',
    )
    parser.add_argument('--clinical', type=Path, required=True, help='table, one row per patient')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--schema', type=Path, help='YAML, see configs/clinical/example.yaml')
    source.add_argument('--fitted', type=Path, help='schema.json of the site whose checkpoint is applied')
    parser.add_argument('--features', type=Path, required=True, help='npz of tools/extract_features.py')
    parser.add_argument('--splits', type=Path, required=True, help='folder of train, val and test.json')
    parser.add_argument('--label', required=True, help='task in the meta files, such as N')
    parser.add_argument(
        '--allow-unmatched', action='store_true', help='more than one in ten patients may match nothing'
    )
    parser.add_argument('--strict', action='store_true', help='refuse patient ids that look alike')
    parser.add_argument('--out-dir', type=Path, required=True, help='folder of the fusion set')
    args = parser.parse_args()

    from mammo.fusion.build import build_from_files

    build_from_files(**vars(args))
    mode = ('--mode', 'clinical-mammo')
    made(args.out_dir, 'mlp.py', '--data-root', args.out_dir, '--work-dir', args.out_dir / 'mlp', *mode)


if __name__ == '__main__':
    main()
