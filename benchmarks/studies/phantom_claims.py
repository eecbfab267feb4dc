"""Do pretraining, the Transformer neck and fusion help? A study on phantoms, whose truth is known.

nothing -> DIR/{archive, dicom, study, folds, pretraining, arms/*, reports/*}, tables of the page

    python benchmarks/studies/phantom_claims.py --out-dir work_dirs/phantom_claims

Every step is a command of the product, printed before it runs; one whose result is there is skipped, and a
cross-validation goes on where it stopped: kill it and rerun it at will.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.studies.pages import interval, write_page
from benchmarks.studies.steps import Step, resumed, run, step

PAGE = ROOT / 'docs/results/phantom_claims.md'
MARKS = ('<!-- table of benchmarks/studies/phantom_claims.py -->', '<!-- end of table -->')
SPACING_MM = 0.234375
TRANSFORMER, GAP = (
    f'configs/demo/full_breast_224x128_barlowtwins_{neck}.py' for neck in ('transformer', 'gap')
)
RANDOM = ['model.backbone.init_cfg=None']
# the published protocol: frozen backbone, learning rate 1e-3
FROZEN = [
    'model.backbone.frozen_stages=4', 'optim_wrapper.optimizer.lr=1e-3', 'train_cfg.max_epochs=30',
    'param_scheduler.T_max=30',
]  # fmt: skip
FROZEN_ARM, TUNED_ARM = 'frozen pretrained, Transformer', 'pretrained, Transformer'
ARMS: dict[str, tuple[str, list[str]]] = {  # in the order of their cost
    FROZEN_ARM: (TRANSFORMER, FROZEN),
    'frozen random, Transformer': (TRANSFORMER, FROZEN + RANDOM),
    'frozen pretrained, GAP': (GAP, FROZEN),
    'frozen random, GAP': (GAP, FROZEN + RANDOM),
    TUNED_ARM: (TRANSFORMER, []),
    'random start, Transformer': (TRANSFORMER, RANDOM),
    'pretrained, GAP': (GAP, []),
}
FUSED_ARMS = (FROZEN_ARM, TUNED_ARM)
FUSED, IMAGES, CLINICAL = 'clinical-mammo_logistic', 'mammograms', 'clinical-only_logistic'
COMPARISONS = (  # claim, one, the other
    ('1 pretraining', 'frozen pretrained, GAP', 'frozen random, GAP'),
    ('1 pretraining', FROZEN_ARM, 'frozen random, Transformer'),
    ('1 pretraining', TUNED_ARM, 'random start, Transformer'),
    ('2 neck', FROZEN_ARM, 'frozen pretrained, GAP'),
    ('2 neck', TUNED_ARM, 'pretrained, GAP'),
    *(
        ('3 fusion', f'{arm}: {FUSED}', f'{arm}: {other}')
        for arm in FUSED_ARMS
        for other in (IMAGES, CLINICAL)
    ),
)


def data_steps(out: Path, args: argparse.Namespace) -> Iterator[Step]:
    """Phantoms, PNG, patches, folds, pretraining."""
    spacing = ('--spacing-mm', SPACING_MM)
    for name, patients, seed, prefix, missing in (
        ('archive', args.unlabelled, 101, 'S', 0.0), ('dicom', args.patients, 100, 'P', 0.1),
    ):  # fmt: skip
        yield step(
            'tools/make_phantom.py', '--out-dir', out / name, '--patients', patients, '--seed', seed,
            '--id-prefix', prefix, '--missing-frac', missing, done=out / name / 'truth.json')  # fmt: skip
    archive, study = out / 'unlabelled', out / 'study'
    yield step(
        'tools/preprocess.py', out / 'archive/dicom', '--out-dir', archive, *spacing, *resumed(archive),
        done=archive / 'overview.html')  # fmt: skip
    yield step(
        'tools/preprocess.py', out / 'dicom/images.csv', '--labels', out / 'dicom/labels.csv',
        '--out-dir', study, *spacing, *resumed(study), done=study / 'overview.html')  # fmt: skip
    yield step(
        'tools/extract_patches.py', archive / 'meta.json', '--out-dir', out / 'patches', '--size', 128,
        '--stride', 64, '--max-per-image', 10, done=out / 'patches/list.txt')  # fmt: skip
    yield step(
        'tools/split.py', study / 'meta.json', '--out-dir', out / 'folds', '--outer', 2, '--inner', 4,
        '--stratify', 'N', '--labelled-only', done=out / 'folds/split_report.json')  # fmt: skip
    pretraining = out / 'pretraining'
    yield step(
        'tools/train.py', 'configs/demo/barlowtwins_64px_patches.py', '--work-dir', pretraining,
        *resumed(pretraining), '--cfg-options', f'train_dataloader.dataset.data_root={out / "patches"}/',
        done=pretraining / 'backbone.pth')  # fmt: skip


def arm_step(out: Path, name: str, args: argparse.Namespace) -> Step:
    """Cross-validation of one arm."""
    config, options = ARMS[name]
    if not set(RANDOM) <= set(options):
        options = [*options, f'model.backbone.init_cfg.checkpoint={out / "pretraining/backbone.pth"}']
    more = ['--cache', 4] if set(FROZEN) <= set(options) else []
    if name in FUSED_ARMS:
        more += ['--with-fusion', 'configs/clinical/phantom.yaml', '--clinical', out / 'dicom/clinical.csv']
    return step(
        'tools/cross_validate.py', config, '--folds', out / 'folds', '--only', args.folds, '--data-root',
        out / 'study', '--work-dir', folder(out, name), '--devices', args.devices, '--pretrain-list',
        out / 'patches/list.txt', '--bootstrap', 2000, *more, '--cfg-options', *options,
        done=folder(out, name) / 'report/report.json')  # fmt: skip


def folder(out: Path, name: str) -> Path:
    return out / 'arms' / name.replace(', ', '_').replace(': ', '_').replace(' ', '_')


def predictions(out: Path, name: str) -> Path:
    """What the ensemble of an arm says of the test patients, from the images or from a fusion."""
    arm, _, model = name.partition(': ')
    return folder(out, arm) / 'ensemble' / (model or IMAGES)


def report_step(out: Path, one: str, other: str) -> Step:
    """Two models on the same test patients."""
    target = out / 'reports' / f'{folder(out, one).name}-{folder(out, other).name}'
    named = [f'{label}={predictions(out, name)}' for label, name in dict(one=one, other=other).items()]
    return step(
        'tools/evaluate.py', '--pred', named[0], '--pred', named[1], '--task', 'N', '--out-dir', target,
        '--bootstrap', 2000, done=target / 'report.json')  # fmt: skip


def rows(out: Path) -> Iterator[str]:
    """Lines of the page's tables, of the reports that are there."""
    yield '| claim | compared | test patients | one | other | difference, 95 % interval |'
    yield '|---|---|---|---|---|---|'
    for claim, one, other in COMPARISONS:
        path = report_step(out, one, other).done
        if not path.is_file():
            yield f'| {claim} | {one} against {other} | not run | | | |'
            continue
        report = json.loads(path.read_text())
        first, second = report['models'].values()
        delta = interval(report['comparisons'][0]['delta_roc_auc'], '+.3f')
        yield (f'| {claim} | {one} against {other} | {first["n_patients"]} | {interval(first["roc_auc"])} | '
               f'{interval(second["roc_auc"])} | {delta} |')  # fmt: skip
    best = json.loads((out / 'dicom/truth.json').read_text())['best']
    yield ''
    yield '| best reachable, N | clinical | images | both |'
    yield '|---|---|---|---|'
    yield '| ROC AUC | {clinical:.3f} | {image:.3f} | {both:.3f} |'.format(**best['N_roc_auc'])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--out-dir', type=Path, required=True)
    add('--patients', type=int, default=1600, help='each half is tested by models of 3 in 4 of the other')
    add('--unlabelled', type=int, default=300, help='patients to pretrain on')
    add(
        '--folds',
        default='0/0,0/1,1/0,1/1',
        help='of 2 outer x 4 inner, the same inner ones of both, two at least',
    )
    add('--arms', nargs='*', choices=ARMS, default=list(ARMS), help='to run; reports need both sides')
    add('--devices', type=int, default=1, help='folds at once')
    add('--table', action='store_true', help='only make the tables of the page from the reports')
    args = parser.parse_args()
    out = args.out_dir.resolve()
    if not args.table:
        run(data_steps(out, args))
        run(arm_step(out, name, args) for name in args.arms)
    run(
        report_step(out, one, other)
        for _, one, other in COMPARISONS
        if all(predictions(out, name).is_dir() for name in (one, other))
    )
    lines = list(rows(out))
    print('\n'.join(lines))
    write_page(PAGE, MARKS, lines)


if __name__ == '__main__':
    main()
