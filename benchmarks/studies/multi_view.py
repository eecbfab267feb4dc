"""Several views as one sample against the highest of a patient's images, second lesions in one view only.

phantoms, a backbone trained on others -> DIR/{dicom, data, folds*, arms/*, reports/*}, tables of the page

    python benchmarks/studies/multi_view.py --out-dir work_dirs/multi_view \
        --backbone demo/cross_validation/0/0/checkpoints/best_N_loss_epoch_4.pth

Every step is a command of the product, printed before it runs; one whose result is there is skipped.
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

PAGE = ROOT / 'docs/results/multi_view.md'
MARKS = ('<!-- table of benchmarks/studies/multi_view.py -->', '<!-- end of table -->')
SPACING_MM = 0.234375
MAXIMUM = 'maximum over images'
ARMS = {  # config, folds
    MAXIMUM: ('full_breast_224x128_barlowtwins_transformer', 'folds'),
    'CC and MLO as one sample': ('breast_CC_MLO_224x128_barlowtwins_transformer', 'folds'),
    'four views as one sample': ('exam_four_views_224x128_barlowtwins_transformer', 'folds_four'),
}
TASKS = ('multifocality', 'N', 'LVI')
FOLDS = '0/0,1/0'  # one network per outer fold
EPOCHS = 30
CACHED_VIEWS = 2  # augmented maps of each image


def data_steps(out: Path, n_patients: int) -> Iterator[Step]:
    """Phantoms, PNG, the same folds with and without the healthy breast in training."""
    data = out / 'data'
    yield step(
        'tools/make_phantom.py', '--out-dir', out / 'dicom', '--patients', n_patients, '--seed', 200,
        '--one-view', done=out / 'dicom/truth.json')  # fmt: skip
    yield step(
        'tools/preprocess.py', out / 'dicom/images.csv', '--labels', out / 'dicom/labels.csv', '--out-dir',
        data, '--spacing-mm', SPACING_MM, *resumed(data), done=data / 'overview.html')  # fmt: skip
    for name, options in dict(folds=['--labelled-only'], folds_four=[]).items():
        yield step(
            'tools/split.py', data / 'meta.json', '--out-dir', out / name, '--outer', 2, '--inner', 2,
            '--stratify', 'N', *options, done=out / name / 'split_report.json')  # fmt: skip


def arm_step(out: Path, name: str, backbone: Path) -> Step:
    """Cross-validation of one arm: the same frozen backbone, another neck."""
    config, folds = ARMS[name]
    options = [
        f'model.backbone.init_cfg.checkpoint={backbone}', '+model.frozen_backbone=True',
        'optim_wrapper.optimizer.lr=1e-3', f'train_cfg.max_epochs={EPOCHS}',
        f'param_scheduler.T_max={EPOCHS}',
    ]  # fmt: skip
    return step(
        'tools/cross_validate.py', f'configs/demo/{config}.py', '--folds', out / folds, '--work-dir',
        folder(out, name), '--only', FOLDS, '--cache', CACHED_VIEWS, '--bootstrap', 200,
        '--cfg-options', *options,
        done=folder(out, name) / 'report/report.json')  # fmt: skip


def folder(out: Path, name: str) -> Path:
    return out / 'arms' / name.replace(' ', '_')


def report_step(out: Path, task: str) -> Step:
    """All arms on the same test patients."""
    target = out / 'reports' / task
    pairs = [f'{name}={folder(out, name) / "ensemble/mammograms"}' for name in ARMS]
    named = [option for pair in pairs for option in ('--pred', pair)]
    return step('tools/evaluate.py', *named, '--task', task, '--out-dir', target, '--bootstrap', 1000,
                done=target / 'report.json')  # fmt: skip


def rows(out: Path) -> Iterator[str]:
    """Lines of the page's tables."""
    best = json.loads((out / 'dicom/truth.json').read_text())['best']
    yield '| task | network | patients | ROC AUC | minus maximum over images | best from images |'
    yield '|---|---|---|---|---|---|'
    for task in TASKS:
        report = json.loads(report_step(out, task).done.read_text())
        deltas = {pair['a']: pair['delta_roc_auc'] for pair in report['comparisons'] if pair['b'] == MAXIMUM}
        deltas |= {pair['b']: mirrored(pair['delta_roc_auc']) for pair in report['comparisons']
                   if pair['a'] == MAXIMUM}  # fmt: skip
        for name, model in report['models'].items():
            delta = interval(deltas[name], '+.3f') if name in deltas else ''
            yield (f'| {task} | {name} | {model["n_patients"]} | {interval(model["roc_auc"])} | {delta} | '
                   f'{best[f"{task}_roc_auc"]["image"]:.3f} |')  # fmt: skip


def mirrored(delta: dict[str, float]) -> dict[str, float]:
    """A difference, taken the other way round."""
    return dict(value=-delta['value'], ci_low=-delta['ci_high'], ci_high=-delta['ci_low'])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--out-dir', type=Path, required=True)
    add('--backbone', type=Path, required=True, help='checkpoint of the demo, trained on other phantoms')
    add('--patients', type=int, default=400)
    args = parser.parse_args()
    out = args.out_dir.resolve()
    run(data_steps(out, args.patients))
    run(arm_step(out, name, args.backbone.resolve()) for name in ARMS)
    run(report_step(out, task) for task in TASKS)
    lines = list(rows(out))
    print('\n'.join(lines))
    write_page(PAGE, MARKS, lines)


if __name__ == '__main__':
    main()
