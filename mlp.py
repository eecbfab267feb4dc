# PYTHON_ARGCOMPLETE_OK
"""Fusion stage: probability of a positive label from clinical variables and mammogram features (SPEC 7).

{split}_x_preope.npy, {split}_feat_5.npy, {split}_y.npy, {split}_fortnr.npy -> checkpoint, predictions, stats
"""

from pathlib import Path

from mammo.command import command, tool_parser
from mammo.options import at_least, fraction, share
from mammo.terminal import made

NUMBERS = dict(
    members=(1, at_least(1), 'networks, with the seeds seed, seed + 1, ...'),
    batch_size=(32, at_least(1), 'patients per step'),
    max_epoch=(100, at_least(1), 'passes over the training set at most'),
    lr=(0.01, fraction, 'learning rate of AdamW'),
    weight_decay=(1e-4, share, 'of AdamW'),
    seed=(0, at_least(0), 'same seed, same result'),
)


@command()
def main() -> None:
    """Parse, then train or score."""
    parser = tool_parser(
        __doc__, 'python mlp.py --data-root fusion --work-dir work --mode clinical-mammo', loads='PyTorch'
    )
    parser.add_argument('--data-root', type=Path, required=True, help='folder of the fusion set')
    parser.add_argument('--work-dir', type=Path, required=True, help='folder for the results')
    parser.add_argument(
        '--mode', choices=['clinical-only', 'mammo-only', 'clinical-mammo'], required=True, help='inputs'
    )
    parser.add_argument('--model', choices=['mlp', 'logistic'], default='mlp', help='kind of model')
    parser.add_argument('--device', default='auto', help='auto is the CPU: batches of 32 leave a GPU idle')
    parser.add_argument('--test', type=Path, metavar='CHECKPOINT', help='score --split, train nothing')
    parser.add_argument('--split', default='test', help='with --test: which one')
    parser.add_argument('--trust-checkpoint', action='store_true', help='run what its pickle holds')
    parser.add_argument(
        '--mask-share', type=share, default=0.5, metavar='SHARE',
        help='share of the patients of an epoch who lack inputs at random, as patients in use will; 0: none',
    )  # fmt: skip
    for name, (value, kind, text) in NUMBERS.items():
        parser.add_argument(f'--{name.replace("_", "-")}', type=kind, default=value, help=text)
    args = parser.parse_args()

    from mammo.fusion import study

    options = {name: getattr(args, name) for name in (*NUMBERS, 'model', 'mask_share')}
    options['device'] = 'cpu' if args.device == 'auto' else args.device
    if args.test:
        study.score(args.data_root, args.work_dir, args.mode, args.test, args.split, args.trust_checkpoint)
    else:
        study.train(args.data_root, args.work_dir, args.mode, **options)
    predictions = args.work_dir / f'predictions_{args.split}.csv'
    named = f'{args.mode}={predictions}'
    made(predictions, 'tools/evaluate.py', '--pred', named, '--task', 'TASK', '--out-dir', 'REPORT')


if __name__ == '__main__':
    main()
