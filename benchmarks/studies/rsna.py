"""Three claims on real women (RSNA 2022): prints and runs the commands of the study, and makes its tables.

published table and pictures, ImageNet start -> WORK/{study, folds, maps, necks, pretraining}, tables

    python benchmarks/studies/rsna.py --data RSNA --weights resnet50.safetensors --work-dir work_dirs/rsna

RSNA holds train.csv and images/<patient>_<image>.jpg. The same command goes on after a stop; --dry-run prints
the commands only; --quick is two folds of few women. docs/results/rsna.md has the protocol and the results.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pandas as pd

from benchmarks.studies.rsna_answer import SUBGROUPS, answer_steps
from benchmarks.studies.rsna_breasts import of_seed
from benchmarks.studies.rsna_figures import figures
from benchmarks.studies.rsna_finetuning import finetune
from benchmarks.studies.rsna_maps import POOLED, make_pooled
from benchmarks.studies.rsna_pretraining import ARM_NAMES, FIRST_FOLD, pretrain_arms
from benchmarks.studies.rsna_tables import tables
from benchmarks.studies.steps import Step, resumed, run, step
from mammo.crossval.jobs.state import FINISHED
from mammo.records.storage.files import write_text

NECKS = (
    'gap', 'transformer', 'mean_token_transformer', 'standardised_pooling', 'DwiseresBlock',
    'attention_pooling', 'gap@1e-2', 'gap@1e-4', 'standardised_pooling@1e-4', 'transformer@1e-4',
    'mean_token_transformer@1e-4', 'transformer_within_breast@1e-4', 'standardised_pooling_within_breast',
)  # fmt: skip
QUICK_WOMEN = 80
SPLIT = '--unit breast --stratify cancer --stratify cohort --inner 5'
OUTER_FOLDS, QUICK_OUTER_FOLDS = 5, 2  # a report needs a model of each
VIEWS = 2


def main() -> None:
    args = _parsed()
    for stage, work in STAGES.items():
        if stage in args.stages:
            work(args)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', type=Path, required=True, help='folder with train.csv and images/')
    parser.add_argument('--weights', type=Path, required=True, help='ImageNet start of a ResNet-50')
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--stages', nargs='+', choices=STAGES, default=list(STAGES))
    parser.add_argument('--necks', nargs='+', choices=NECKS, default=NECKS)
    parser.add_argument('--arms', nargs='*', choices=ARM_NAMES, default=ARM_NAMES, help='of pretraining')
    parser.add_argument('--pretrained-folds', nargs='+', default=[FIRST_FOLD], help='outer folds of the arms')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--fold-seed', type=int, default=0, help='of the split')
    parser.add_argument('--quick', action='store_true', help=f'two folds of {QUICK_WOMEN} women, two epochs')
    parser.add_argument('--dry-run', action='store_true', help='print the commands only')
    args = parser.parse_args()
    args.data, args.weights, args.work_dir = (
        path.resolve() for path in (args.data, args.weights, args.work_dir)
    )
    return args


def n_outer(args: argparse.Namespace) -> int:
    """Outer folds of the study."""
    return QUICK_OUTER_FOLDS if args.quick else OUTER_FOLDS


def converting(args: argparse.Namespace) -> Step:
    """The published table and the pictures to the input of tools/preprocess.py."""
    out = args.work_dir / 'input'
    pictures = ['--image-dir', args.data / 'images', '--out-dir', out]
    return step(
        'tools/dataset_converters/rsna2022.py',
        args.data / 'train.csv',
        *pictures,
        done=out / 'convert_report.json',
    )


def write_labels(folder: Path, n_women: int | None) -> None:
    """Add the age of a woman as a label of her breasts, in centuries; with a number, take so many women.

    As many with as without cancer are taken.
    """
    images = pd.read_csv(folder / 'images.csv', dtype=str)
    labels = pd.read_csv(folder / 'labels.csv', dtype={'patient_id': str})
    if n_women:
        by_cancer = (
            labels.groupby('patient_id').cancer.max().groupby(labels.groupby('patient_id').cancer.max())
        )
        women = by_cancer.head(n_women // 2).index
        images, labels = images[images.patient_id.isin(women)], labels[labels.patient_id.isin(women)]
        write_text(folder / 'images.csv', images.to_csv(index=False))
    age = images.groupby(['patient_id', 'laterality']).age.first().astype(float) / 100
    labels = labels.drop(columns='age', errors='ignore').join(age, on=['patient_id', 'laterality'])
    write_text(folder / 'labels.csv', labels.to_csv(index=False))


def preparing(work: Path, fold_seed: int, n_outer: int) -> Iterator[Step]:
    """Crops and meta file, and folds."""
    study, table, labels = work / 'study', work / 'input/images.csv', work / 'input/labels.csv'
    out = ['--invert', 'auto', '--out-dir', study, *resumed(study)]
    yield step('tools/preprocess.py', table, '--labels', labels, *out, done=study / 'meta.json')
    folds = of_seed(work / 'folds', fold_seed)
    out = ['--out-dir', folds, '--seed', fold_seed, '--outer', n_outer, *SPLIT.split()]
    yield step('tools/split.py', study / 'meta.json', *out, done=folds / 'split_report.json')


def mapping(args: argparse.Namespace) -> Step:
    """Maps of the frozen ImageNet network, which serve every neck."""
    work, root = args.work_dir, f'data_root={args.work_dir / "study"}/'
    roots = [f'{part}_dataloader.dataset.{root}' for part in ('train', 'val', 'test')]
    options = ['--cfg-options', *roots, f'model.backbone.init_cfg.checkpoint={args.weights}']
    maps = ['--views', VIEWS, '--out', work / 'maps', '--amp', '--ann-file', 'meta.json']
    config, log = 'configs/rsna/frozen_512_gap.py', ['--work-dir', work / 'maps_log']
    done = work / f'maps_{list(POOLED)[-1]}' / FINISHED
    return step('tools/cache_features.py', config, *maps, *log, *options, done=done)


def necks(args: argparse.Namespace) -> Iterator[Step]:
    """Every neck on the same maps of a frozen ImageNet network, one model per outer fold and seed."""
    only = ','.join(f'{outer}/0' for outer in range(n_outer(args)))
    work = args.work_dir
    runs, folds = (of_seed(work / name, args.fold_seed) for name in ('necks', 'folds'))
    for seed, arm in itertools.product(args.seeds, args.necks):
        neck, _, rate = arm.partition('@')  # with a learning rate other than the published one
        config, folder = f'configs/rsna/frozen_512_{neck}.py', runs / f'{arm}_seed{seed}'
        data = ['--folds', folds, '--data-root', f'{work / "study"}/', '--work-dir', folder]
        pooled = 'gap' if neck == 'standardised_pooling' else neck
        cache = work / (f'maps_{pooled}' if pooled in POOLED else 'maps')
        maps = ['--amp', '--cache', VIEWS, '--cache-dir', cache]
        options = [f'randomness.seed={seed}', f'model.backbone.init_cfg.checkpoint={args.weights}']
        options += [f'optim_wrapper.optimizer.lr={rate}'] if rate else []
        options += ['train_cfg.max_epochs=2'] if args.quick else []
        groups = [text for column in SUBGROUPS for text in ('--subgroup', column)]
        how = ['--only', only, '--unit', 'breast', *groups, *maps, '--cfg-options', *options]
        yield step('tools/cross_validate.py', config, *data, *how, done=folder / 'report/report.json')


def prepare(args: argparse.Namespace) -> None:
    """Meta file, labels and folds."""
    run([converting(args)], dry=args.dry_run)
    if not args.dry_run:
        write_labels(args.work_dir / 'input', QUICK_WOMEN if args.quick else None)
    run(preparing(args.work_dir, args.fold_seed, n_outer(args)), dry=args.dry_run)


def make_maps(args: argparse.Namespace) -> None:
    """Maps for all necks, and of these the pooled ones."""
    run([mapping(args)], dry=args.dry_run)
    if not args.dry_run:
        for neck, kind in POOLED.items():
            make_pooled(args.work_dir, neck, kind)


def answer(args: argparse.Namespace) -> None:
    """Bundle, report and attention maps of the best."""
    run(answer_steps(args.work_dir, of_seed(args.work_dir / 'necks', args.fold_seed)), dry=args.dry_run)


def pretrain(args: argparse.Namespace) -> None:
    """Networks of claim 1 and their averaged maps."""
    pretrain_arms(args.work_dir, args.weights, args.arms, args.pretrained_folds, dry=args.dry_run)


def learn_on(args: argparse.Namespace) -> None:
    """Claim 1 by fine-tuning; hours, so not among what is quick."""
    if not args.quick:
        finetune(args.work_dir, args.weights, dry=args.dry_run)


def tell(args: argparse.Namespace) -> None:
    """Tables on standard output, figures in the work dir."""
    if not args.dry_run:
        print(tables(args.work_dir))
        figures(args.work_dir, args.work_dir / 'figures')


STAGES = dict(
    data=prepare,
    maps=make_maps,
    necks=lambda args: run(necks(args), dry=args.dry_run),
    answer=answer,
    pretraining=pretrain,
    finetuning=learn_on,
    tables=tell,
)

if __name__ == '__main__':
    main()
