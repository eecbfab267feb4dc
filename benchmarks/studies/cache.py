"""Do necks learn as well from K = 16 cached views as from augmentation drawn anew? Both ways over seeds.

folder of make demo -> validation metrics: mean and SD over seeds of each way, paired difference with interval

    make demo
    OMP_NUM_THREADS=1 python benchmarks/studies/cache.py --demo demo --work-dir work_dirs/study_cache

The frozen backbone is that of the demo's model 1/0, which never saw the patients of outer fold 0; necks learn
from train.json of fold 0/0 and are judged on its val.json, 30 epochs, with the published augmentation. Each
seed draws its own first weights, order of images, and views. A run that was stopped goes on.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np
import pandas as pd
from mmengine.config import Config
from mmengine.registry import init_default_scope
from scipy import stats

import dataset  # noqa: F401
import models  # noqa: F401
from dataset.cache.training import cached_config
from mammo.crossval.steps import best_checkpoint
from mammo.records.storage.files import write_json, write_text

VIEWS, EPOCHS = 16, 30
WAYS = ('augmented', 'cached')
METRICS = dict(N_loss=-1, N_roc_auc=1, LVI_loss=-1, LVI_roc_auc=1, tumor_size_loss=-1)  # 1: more is better
CONFIG = """
_base_ = '{root}/configs/demo/full_breast_224x128_transformer.py'
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(crop_ratio_range=(0.5, 0.9))
train_pipeline[3].update(num_policies=3, policies=_base_.randaugment_policies)
weights = dict(_delete_=True, type='Pretrained', checkpoint='{checkpoint}', prefix='backbone')
model = dict(backbone=dict(frozen_stages=4, init_cfg=weights))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(gamma=0.95)
train_cfg = dict(max_epochs={epochs})
default_hooks = dict(checkpoint=dict(interval={epochs}))
images, fold = '{images}', '{fold}'
train_dataloader = dict(
    dataset=dict(data_root=images, ann_file=fold + '/train.json', pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(data_root=images, ann_file=fold + '/val.json'))
test_dataloader = dict(dataset=dict(data_root=images, ann_file=fold + '/val.json'))
"""


def write_config(demo: Path, folder: Path, epochs: int) -> Path:
    """The config of both ways."""
    checkpoint = best_checkpoint(demo / 'cross_validation/1/0/checkpoints')
    places = dict(root=ROOT, checkpoint=checkpoint, images=demo / 'phantom', fold=demo / 'folds/0/0')
    write_text(folder / 'config.py', CONFIG.format(**places, epochs=epochs))
    return folder / 'config.py'


def tool(name: str, *arguments: object) -> float:
    """Run a tool in a process of its own -> CPU seconds that it and its loaders took."""
    before = os.times()
    command = [sys.executable, ROOT / 'tools' / name, *arguments, '--no-check-data']
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(getattr(after, k) - getattr(before, k) for k in ('children_user', 'children_system'))


def train(config: Path, seed: int, folder: Path) -> tuple[dict[str, float], float]:
    """Validation metrics of the last epoch and, as ``best ...``, of the one with the lowest N_loss; CPU s."""
    cpu_s = tool('train.py', config, '--work-dir', folder, '--cfg-options', f'randomness.seed={seed}')
    lines = next(folder.glob('*/vis_data/scalars.json')).read_text().splitlines()
    epochs = [scores for scores in map(json.loads, lines) if 'N_loss' in scores and 'N_roc_auc' in scores]
    best = min(epochs, key=lambda scores: scores['N_loss'])
    found = {f'last {name}': epochs[-1][name] for name in METRICS}
    return found | {f'best {name}': best[name] for name in METRICS}, cpu_s


def run_seed(config: Path, seed: int, views: int, folder: Path) -> dict[str, dict[str, float]]:
    """Both ways for one seed -> metrics by way, CPU seconds among them."""
    done = folder / 'result.json'
    if done.is_file():
        return json.loads(done.read_text())
    scores, cpu_s = train(config, seed, folder / 'augmented')
    cache, from_maps = folder / 'cache', folder / 'config_maps.py'
    caching_s = tool('cache_features.py', config, '--views', views, '--seed', seed, '--out', cache)
    write_text(from_maps, cached_config(Config.fromfile(config), str(cache)).pretty_text)
    cached_scores, cached_s = train(from_maps, seed, folder / 'cached')
    result = dict(
        augmented=scores | dict(cpu_s=cpu_s), cached=cached_scores | dict(cpu_s=caching_s + cached_s)
    )
    write_json(done, result)
    return result


def compare(results: list[dict[str, dict[str, float]]]) -> pd.DataFrame:
    """A row per metric; ``worse_by`` is what the cache loses (negative: gains), in the metric's own unit."""
    rows = {}
    for name in (f'{epoch} {metric}' for epoch in ('last', 'best') for metric in METRICS):
        drawn, cached = (np.array([result[way][name] for result in results]) for way in WAYS)
        losses = (drawn - cached) * METRICS[name.split()[-1]]
        half = stats.t.ppf(0.975, len(losses) - 1) * stats.sem(losses)
        spread = drawn.std(ddof=1)
        rows[name] = dict(
            augmented=drawn.mean(), augmented_sd=spread, cached=cached.mean(), cached_sd=cached.std(ddof=1),
            worse_by=losses.mean(), low=losses.mean() - half, high=losses.mean() + half,
            within_sd='yes' if losses.mean() <= spread else 'no',
        )  # fmt: skip
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--demo', type=Path, default=Path('demo'), help='folder that make demo has filled')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/study_cache'))
    parser.add_argument('--seeds', type=int, default=6)
    parser.add_argument('--views', type=int, default=VIEWS)
    parser.add_argument('--epochs', type=int, default=EPOCHS)
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error(f'--seeds is {args.seeds}, expected 2 or more, for a spread')
    if not (args.demo / 'cross_validation/1/0/checkpoints').is_dir():
        parser.error(f'{args.demo}: no cross-validation of the demo; run make demo, or name its folder')
    init_default_scope('mammo')
    work_dir = args.work_dir.resolve()
    config = write_config(args.demo.resolve(), work_dir, args.epochs)
    results = [run_seed(config, seed, args.views, work_dir / str(seed)) for seed in range(args.seeds)]
    table = compare(results)
    print(f'{args.views} views, {args.epochs} epochs, {args.seeds} seeds')
    print(table.to_string(float_format='{:.4f}'.format))
    cpu_s = {way: np.mean([result[way]['cpu_s'] for result in results]) for way in WAYS}
    print(
        f'CPU seconds per seed: {cpu_s["augmented"]:.0f} augmented, {cpu_s["cached"]:.0f} with its own cache'
    )


if __name__ == '__main__':
    main()
