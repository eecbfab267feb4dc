"""Pretraining, training, cross-validation, backbones, speed: settings of configs, classes and commands."""

import inspect
from typing import Any

from facts import ROOT, config, count_of, default, locked, rows, word
from scipy.stats import foldnorm

from mammo.crossval.jobs.job import ATTEMPTS
from mammo.errors import Exit
from mammo.fusion.model import MODELS

FULL = 'configs/multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'
SWIN = 'configs/backbones/swin_tiny_transformer.py'
REQUEST = 'tools/slurm_request.sh'


def augmentation() -> dict[str, Any]:
    return next(step for step in config(FULL).train_pipeline if step['type'] == 'RandAugment')


def policy(name: str) -> dict[str, Any]:
    return next(policy for policy in augmentation()['policies'] if policy['type'] == name)


def strength(name: str) -> tuple[float, float]:
    """Mean and standard deviation of a policy, by mmpretrain's rule: low + (high - low) level / 10."""
    about = augmentation()
    low, high = policy(name)['magnitude_range']
    return (
        low + (high - low) * about['magnitude_level'] / 10,
        (high - low) * about['magnitude_std'] / 10,
    )


def most(name: str) -> tuple[float, ...]:
    """What 95 % of the strengths lie between; their sign is drawn."""
    mean, deviation = strength(name)
    return tuple(foldnorm.ppf(share, mean / deviation, scale=deviation) for share in (0.025, 0.975))


def n_policies() -> tuple[int, int]:
    return augmentation()['num_policies'], len(augmentation()['policies'])


def argument(function: Any, name: str) -> Any:
    """Default of an argument."""
    return inspect.signature(function).parameters[name].default


def monitor() -> Any:
    from mammo.engine.monitor.learning import LearningMonitorHook

    return LearningMonitorHook


def leaves() -> list[str]:
    return sorted(path.stem for path in (ROOT / 'configs/backbones').glob('*.py'))


def measured() -> list[list[str]]:
    """Rows of the table of backbones, which must be all configs."""
    table = [row for row in rows('docs/backbones.md') if row[0] in leaves()]
    assert sorted(row[0] for row in table) == leaves(), 'a config is missing in the table, or is gone'
    return table


def sources() -> tuple[str, ...]:
    """Sources of weights, which all must have a row."""
    from models.backbones.weight_rules import SOURCES

    listed = {name.strip('` ') for row in rows('docs/backbones.md', '`') for name in row[0].split(',')}
    assert set(SOURCES) <= listed, set(SOURCES) - listed
    return ('| source | for |',)


def more_methods() -> str:
    names = dict(simclr='SimCLR', mocov3='MoCo v3', densecl='DenseCL', simsiam='SimSiam', mae='MAE')
    files = {path.stem.split('_')[0] for path in (ROOT / 'configs/pretrain/more').glob('*.py')}
    assert files == {*names, 'barlowtwins'}, files
    *first, last = names.values()
    return f'{", ".join(first)} and {last}'


TABLE = {
    'docs/pretraining.md': [
        ('at least half breast (`--min-breast-frac`), {} pixels wide, every {} (', lambda: tuple(
            default('tools/extract_patches.py', option) for option in ('--size', '--stride'))),
        ('The patches show at least {}', lambda: {'0.5': 'half breast'}[
            default('tools/extract_patches.py', '--min-breast-frac')]),
        ('with them every {} epochs the log', lambda: word(argument(monitor(), 'interval'))),
        ('every {} epochs', lambda: word(
            config('configs/_base_/pretrain_runtime.py').default_hooks.learning_monitor.interval)),
        ('{} policies of {}, drawn with replacement', n_policies),
        ('none acts on 1 of {} images, {} act on average', lambda: (
            2 ** n_policies()[0], n_policies()[0] / 2)),
        ('level {} of 10 is {:g} degrees with standard deviation {:g}, sign at random: 95 % between {:.1f} '
         'and {:.1f};', lambda: (augmentation()['magnitude_level'], *strength('Rotate'), *most('Rotate'))),
        ('{:.2f} with standard deviation {:.3f}, sign at random: 95 % between {:.3f} and {:.2f} |',
         lambda: (*strength('Brightness'), *most('Brightness'))),
        ('| Brightness, Sharpness | {} to {} |', lambda: tuple(policy('Sharpness')['magnitude_range'])),
        ('pretraining views: Brightness, Sharpness | {} to {} |', lambda: tuple(
            config('configs/_base_/data/patches_224.py').grey_augmentation[1]['magnitude_range'])),
    ],
    'docs/training.md': [
        ('MLflow writes to the folder `{}` unless', lambda: count_of(
            r'MLFLOW_TRACKING_URI:([^}]*)}', 'configs/_base_/trackers/mlflow.py')),
    ],
    'docs/fusion.md': [
        ('{} of the patients of every epoch', lambda: {'0.5': 'half'}[default('mlp.py', '--mask-share')]),
        ('fits {} and a logistic regression', lambda: {MODELS: 'an MLP'}['mlp', 'logistic']),
    ],
    'docs/cross_validation.md': [
        ('one that fails is retried {} and', lambda: {2: 'once'}[ATTEMPTS]),
        ('Killed at {} random moments', lambda: count_of(
            r"'--kills', type=int, default=(\d+)", 'tests/torture/kill_cross_validation.py')),
    ],
    'docs/backbones.md': [
        ('full-breast configs for {} other backbones', lambda: word(
            len({name.split('_')[0] for name in leaves()}))),
        ('All {} configs on one image', lambda: sum(bool(row[3] and row[4]) for row in measured())),
        ('{}', sources),
        ('`configs/pretrain/more/` has {} as deltas', more_methods),
        ('`model.image_size=({}, {})`', lambda: config(SWIN).model.image_size),
    ],
    'docs/speed.md': [
        ('so the configs keep {} workers', lambda: config(FULL).train_dataloader.num_workers),
        ("and torch's default of {}", lambda: torch_prefetch()),
    ],
    'docs/extend.md': [
        ('(mmengine {}, mmcv-lite {}, mmpretrain {})', lambda: tuple(
            locked(name) for name in ('mmengine', 'mmcv-lite', 'mmpretrain'))),
    ],
    'docs/workstation.md': [
        ('for want of memory (exit code {})', lambda: Exit.NO_RESOURCES.value),
    ],
    'docs/slurm.md': [
        ('| `GPUS` | {} |', lambda: count_of(r'GPUS:-(\d+)', REQUEST)),
        ('| `CPUS_PER_TASK` | {} |', lambda: count_of(r'CPUS_PER_TASK:-(\d+)', REQUEST)),
        ('| `GPUS_PER_NODE` | `GPUS`, at most {} |', lambda: count_of(r'gpus < (\d+)', REQUEST)),
        ('{} minutes before the time limit', lambda: word(
            int(count_of(r'--signal=TERM@(\d+)', 'tools/slurm_train.sh')) // 60).capitalize()),
        ('ends with exit code {}.', lambda: count_of(r'^stopped=(\d+)', 'tools/slurm_train.sh')),
        ('exit code {}', lambda: Exit.STOPPED.value),
    ],
}  # fmt: skip


def torch_prefetch() -> int:
    import torch

    return torch.utils.data.DataLoader([0], num_workers=1).prefetch_factor
