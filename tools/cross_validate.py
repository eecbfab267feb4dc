# PYTHON_ARGCOMPLETE_OK
"""Double cross-validation: train, test and fuse every fold, ensembles, report; kill and rerun at will.

config, folds of tools/split.py -> DIR/<outer>/<inner>/, DIR/ensemble/, DIR/report/, DIR/cross_validate.json

Exit codes: 0 with a report; 1 a fold failed or is still missing; 2 bad input.
"""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.errors import Exit
from mammo.options import add_cfg_options, add_tasks
from mammo.terminal import made

EXAMPLE = 'python tools/cross_validate.py CONFIG --folds data/folds --data-root data/study --work-dir cv'


def arguments() -> Namespace:
    """What the command line asks for."""
    parser = tool_parser(__doc__, EXAMPLE, loads='PyTorch and MMPreTrain')
    add = parser.add_argument
    add('config', type=Path, help='config file; it is code and is executed')
    add('--folds', type=Path, required=True, help='folder of tools/split.py')
    add('--work-dir', type=Path, required=True, help='a run that was stopped here goes on')
    add('--data-root', type=Path, metavar='DIR', help="folder of the images; without it the config's")
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--launcher', choices=['local', 'slurm'], default='local', help='slurm: a job array')
    where.add_argument('--scheduler', metavar='ADDRESS', help='of a Dask cluster that can import this project')  # fmt: skip  # noqa: E501
    add('--devices', type=int, metavar='N', help='folds at once; without it one per GPU, or one')
    add('--sbatch-args', default='', metavar='TEXT', help="as in --sbatch-args='--partition=gpu --gres=gpu:1'")  # fmt: skip  # noqa: E501
    add('--only', metavar='O/I,...', help='these folds, e.g. 0/1,2/3')
    add('--external', nargs='+', action='extend', default=[], metavar='[NAME=]META', help='test sets for all models; images beside META or in data_root')  # fmt: skip  # noqa: E501
    add('--with-fusion', type=Path, metavar='SCHEMA', help='also fuse, with these variables')
    add('--clinical', type=Path, metavar='TABLE', help='clinical variables for --with-fusion')
    add('--allow-unmatched', action='store_true', help='more than one in ten patients may lack clinical values, or images')  # fmt: skip  # noqa: E501
    add('--strict', action='store_true', help='refuse ids that look alike, as P1 and p1')
    add_tasks(parser)
    add('--label', help='task of the fusion and the main report; without it the first')
    add('--pretrain-list', type=Path, metavar='LIST', help='patches that stage a learned from')
    add('--bootstrap', type=int, default=10_000, help='draws of the report')
    add('--patient-label', choices=['same', 'max'], default='same', help='of images whose labels differ: an error, or the highest')  # fmt: skip  # noqa: E501
    add('--unit', choices=['patient', 'breast'], default='patient', help='whom scores and labels of the report are of')  # fmt: skip  # noqa: E501
    add('--subgroup', dest='subgroups', action='append', default=[], metavar='COLUMN', help='subgroups of the report by this field of the meta file; may be repeated')  # fmt: skip  # noqa: E501
    add('--cache', type=int, metavar='VIEWS', help='run the frozen backbone once, before the folds: on VIEWS augmented views of each image; 0: no augmentation')  # fmt: skip  # noqa: E501
    add('--cache-dir', type=Path, metavar='DIR', help='of --cache: where the maps are kept, for several runs; a neck without a pool must come first; default: in WORK_DIR')  # fmt: skip  # noqa: E501
    add('--amp', action='store_true', help='mixed precision; bfloat16 on CPU')
    add('--fresh', action='store_true', help='throw away what an earlier run left')
    add_cfg_options(parser)
    args = parser.parse_args()
    if bool(args.with_fusion) != bool(args.clinical):
        parser.error('--with-fusion SCHEMA and --clinical TABLE belong together')
    if args.devices is not None and args.devices < 1:
        parser.error(f'--devices is {args.devices}, expected 1 or more')
    if args.unit == 'breast' and args.with_fusion:
        parser.error('--with-fusion: clinical variables are of women; take --unit patient')
    return args


@command(go_on='the same command goes on from here')
def main() -> int:
    """Parse, run, print where the report is."""
    args = arguments()

    import signal

    from mammo.crossval.inputs import Request
    from mammo.crossval.run import cross_validate

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    report = cross_validate(Request(**vars(args)))
    if report:
        print(report / 'report.html')
        following = ('tools/make_bundle.py', '--cv', args.work_dir, '--out', 'BUNDLE')
        made(f'the report {report / "report.html"}', *following)
    else:
        made('no report, see above; the same command goes on')
    return Exit.DONE if report else Exit.NOTHING_MADE


if __name__ == '__main__':
    main()
