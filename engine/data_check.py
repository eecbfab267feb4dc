"""Everything that can be wrong with the data is said before the first batch.

datasets of a run -> nothing, warnings, or one error that lists all there is to mend
"""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS

from engine.image_check import DataError, check_images, shown


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Checks images, labels and splits before training and testing.

    Args:
        check_data: decode every image once; what was found whole is remembered by path, size and
            time in the user's cache folder (as hashes, since paths may name patients).
        strict_split: an image or a patient in two splits is an error, not a warning.

    Raises:
        DataError: see above.
    """

    priority = 'VERY_HIGH'

    def __init__(self, check_data: bool = True, strict_split: bool = False) -> None:
        self.check_data = check_data
        self.strict_split = strict_split

    def before_train(self, runner: Runner) -> None:
        datasets = dict(train=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            datasets['val'] = runner.val_dataloader.dataset
        self._run(runner, datasets, check_test_split=True)

    def before_test(self, runner: Runner) -> None:
        self._run(runner, dict(test=runner.test_dataloader.dataset), check_test_split=False)

    def _run(self, runner: Runner, datasets: dict[str, Any], *, check_test_split: bool) -> None:
        problem: list[str | None] = [None]
        if is_main_process():
            try:
                self._check(runner, datasets, check_test_split=check_test_split)
            except DataError as error:
                problem = [str(error)]
        broadcast_object_list(problem)  # so that no process waits for one that has stopped
        if problem[0]:
            raise DataError(problem[0])

    def _check(self, runner: Runner, datasets: dict[str, Any], *, check_test_split: bool) -> None:
        items = {split: list(_items(dataset)) for split, dataset in datasets.items()}
        kinds = _task_kinds(runner.model)
        _compare_tasks(kinds, datasets)
        for split in datasets:
            _check_binary_labels(split, kinds, items[split])
        if self.check_data:
            check_images(item['img_path'] for part in items.values() for item in part)
        if check_test_split and (test := _test_items(runner.cfg.get('test_dataloader'))):
            items['test'] = test
        self._check_splits(items)

    def _check_splits(self, items: dict[str, list[dict]]) -> None:
        shared = [
            f'{what} in both {a} and {b}: {shown(sorted(both))}'
            for a, b in combinations(items, 2)
            for what, key in (('images', 'img_path'), ('patients', 'patient_id'))
            if (both := _values(items[a], key) & _values(items[b], key))
        ]
        if shared and self.strict_split:
            raise DataError('the splits share data, so the metrics would be too good; ' + '; '.join(shared))
        if shared:
            print_log(
                'the splits share data, metrics will be too good: ' + '; '.join(shared),
                'current',
                logging.WARNING,
            )


def _items(dataset: Any) -> Iterable[dict]:
    """The items of a multi-task dataset or of any mmengine dataset."""
    if hasattr(dataset, 'get_data_info'):
        return (dataset.get_data_info(i) for i in range(len(dataset)))
    return getattr(dataset, 'data_list', ())


def _test_items(dataloader: dict | None) -> list[dict]:
    """The items of the test set, [] if its meta file is not there yet."""
    if not dataloader:
        return []
    try:
        return list(_items(DATASETS.build(dict(dataloader['dataset'], pipeline=[]))))
    except ValueError as error:
        print_log(f'the test split is not checked against training data: {error}', 'current')
        return []


def _task_kinds(model: Any) -> dict[str, str]:
    head = getattr(getattr(model, 'module', model), 'head', None)
    return {task: head.kind for task, head in getattr(head, 'task_heads', {}).items()}


def _compare_tasks(kinds: dict[str, str], datasets: dict[str, Any]) -> None:
    """Warn, once, of tasks that only the config or only the data have."""
    tasks = {split: getattr(dataset, 'metainfo', {}).get('tasks') for split, dataset in datasets.items()}
    differing = {split: names for split, names in tasks.items() if names and set(names) != set(kinds)}
    if kinds and differing:
        of_data = ', '.join(f'{split} {names}' for split, names in differing.items())
        print_log(
            f'tasks of the config: {list(kinds)}, tasks of the data: {of_data}. Tasks that the data lack are '
            'not trained, tasks that the config lacks are not used',
            'current',
            logging.WARNING,
        )


def _check_binary_labels(split: str, kinds: dict[str, str], items: list[dict]) -> None:
    wrong: dict[str, list[str]] = defaultdict(list)
    for i, item in enumerate(items):
        for task, value in (item.get('gt_label') or {}).items() if kinds else ():
            if kinds.get(task) == 'binary' and value not in (0, 1):
                wrong[task].append(f'item {i} has {value!r}')
    if wrong:
        text = '; '.join(f'{task}: {shown(found)}' for task, found in wrong.items())
        raise DataError(f'{split}: labels of binary tasks must be 0 or 1: {text}')


def _values(items: list[dict], key: str) -> set[str]:
    values = {str(item[key]) for item in items if item.get(key) is not None}
    return {os.path.realpath(path) for path in values} if key == 'img_path' else values
