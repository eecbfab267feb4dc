"""The tasks of a run, where the config leaves them to the data.

Config, meta files to learn from -> Config whose model.tasks all have a kind
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.config import Config

from mammo.engine.config.keys import ConfigError
from mammo.engine.log import tell
from mammo.errors import listed
from mammo.records.meta import read_meta


def name_tasks(cfg: Config, names: Sequence[str]) -> None:
    """Replace the list of tasks: those that the config has keep their entries, others get a kind later.

    Raises:
        ConfigError: the config has no list of tasks.
    """
    if not cfg.get('model', {}).get('tasks'):
        raise ConfigError('--tasks: the config has no model.tasks; edit its heads instead')
    entries = {task['name']: task for task in cfg.model.tasks}
    cfg.model.tasks = [entries.get(name, dict(name=name)) for name in names]


def resolve_tasks(cfg: Config, metas: Sequence[str | os.PathLike]) -> None:
    """Give every task a kind; if the data have none of the config's tasks, take theirs.

    Kinds are guessed from all labels: binary if they are 0 and 1, else regression, standardised. What was
    taken or guessed is told.

    Args:
        cfg: changed in place.
        metas: meta files to learn from.

    Raises:
        ConfigError: a task without a kind has no labels to guess it from.
    """
    tasks = [dict(task) for task in cfg.get('model', {}).get('tasks') or ()]
    if not tasks or not metas:
        return
    of_data = {*read_meta(metas[0])['metainfo']['tasks']}
    if all('kind' in task for task in tasks) and of_data & {task['name'] for task in tasks}:
        return
    labels = _labels(metas)
    labelled = [task for task in tasks if labels.get(task['name'])]
    if not labelled and labels and all('kind' in task for task in tasks):
        tell(f'the data have none of {listed(t["name"] for t in tasks)}: taking their own tasks')
        tasks = [dict(name=name) for name, values in labels.items() if values]
    cfg.model.tasks = [task if 'kind' in task else _guessed(task, labels, metas) for task in tasks]


def labels_of(items: Iterable[dict[str, Any]]) -> dict[str, list[float]]:
    """All known labels, by task."""
    labels: dict[str, list[float]] = {}
    for item in items:
        for task, value in (item.get('gt_label') or {}).items():
            labels.setdefault(task, []).append(value)
    return labels


def train_meta(cfg: Config) -> list[str]:
    """The meta file that the config's run learns from, if it is a file that is there."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    path = os.path.join(dataset.get('data_root') or '', dataset.get('ann_file') or '')
    return [path] if path.endswith('.json') and os.path.isfile(path) else []


def _labels(metas: Sequence[str | os.PathLike]) -> dict[str, list[float]]:
    labels: dict[str, list[float]] = {}
    for meta in metas:
        content = read_meta(meta)
        for task in content['metainfo']['tasks']:
            labels.setdefault(task, [])
        for task, values in labels_of(content['data_list']).items():
            labels.setdefault(task, []).extend(values)
    return labels


def _guessed(
    task: dict[str, Any], labels: dict[str, list[float]], metas: Sequence[str | os.PathLike]
) -> dict[str, Any]:
    name, values = task['name'], labels.get(task['name'])
    if not values:
        there = listed(other for other, known_labels in labels.items() if known_labels)
        raise ConfigError(
            f'{metas[0]}: no image has a label {name!r}; there are labels of {there or "no task"}'
        )
    if {*values} <= {0.0, 1.0}:
        description = f'0 and 1, {int(sum(values))} of {len(values)} are 1'
        entry: dict[str, Any] = dict(kind='binary')
    else:
        description = (
            f'{min(values):g} to {max(values):g}, mean {sum(values) / len(values):.3g}; standardised'
        )
        entry = dict(kind='regression', standardise=True)
    tell(f'task {name}: {entry["kind"]}, since its labels are {description}')
    return task | entry
