"""Everything that can be wrong with the data is said before the first batch.

datasets of a run -> nothing, warnings, or one error that lists all there is to mend
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS
from mmpretrain.utils import get_ori_model

from mammo.engine.checks.images import check_images
from mammo.engine.launch import on_main_process
from mammo.engine.log import tell, warn
from mammo.errors import DataError, listed
from mammo.leaks import Traces, add_item, check_spelling, named_by_content, shared
from models.heads.tasks import heads_of


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
        """Check training and validation data, and that no patient or image of theirs is in the test set."""
        datasets = dict(train=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            datasets['val'] = runner.val_dataloader.dataset
        self._run(runner, datasets, check_test_split=True)

    def before_test(self, runner: Runner) -> None:
        """Check the test set."""
        self._run(runner, dict(test=runner.test_dataloader.dataset), check_test_split=False)

    def before_train_epoch(self, runner: Runner) -> None:
        """Join and tell what the processes found damaged in the epoch before."""
        self._count_damaged(runner.train_dataloader.dataset)

    def after_train(self, runner: Runner) -> None:
        """Join and tell what the processes found damaged in the last epoch."""
        self._count_damaged(runner.train_dataloader.dataset)

    def _count_damaged(self, dataset: Any) -> None:
        """Join what the training processes found damaged; ImageFileError if it is too much."""
        if hasattr(dataset, 'check_damaged'):
            joined = dataset.damaged.clone()
            all_reduce(joined, 'max')
            dataset.damaged.copy_(joined)
            if n_damaged := dataset.check_damaged():
                tell(f'{n_damaged} of {len(joined)} training images were damaged and replaced')

    def _run(self, runner: Runner, datasets: dict[str, Any], *, check_test_split: bool) -> None:
        on_main_process(lambda: self._check(runner, datasets, check_test_split=check_test_split))

    def _check(self, runner: Runner, datasets: dict[str, Any], *, check_test_split: bool) -> None:
        kinds = {task: head.kind for task, head in heads_of(runner.model).items()}
        _compare_tasks(kinds, datasets)
        _compare_views(runner.model, datasets)
        scans = {split: _scan(items_of(dataset), kinds) for split, dataset in datasets.items()}
        if 'val' in scans and kinds:
            _warn_without_best(runner, kinds, scans['val'].labelled)
        for split, scan in scans.items():
            if scan.wrong:
                text = '; '.join(f'{task}: {listed(items)}' for task, items in scan.wrong.items())
                raise DataError(f'{split}: labels of binary tasks must be 0 or 1: {text}')
        if self.check_data:
            check_images(*(scan.paths for split, scan in scans.items() if _has_files(split, datasets[split])))
        if check_test_split and (test := _test_items(runner.cfg.get('test_dataloader'))):
            scans['test'] = _scan(test, {})
        self._check_splits(scans)

    def _check_splits(self, scans: dict[str, '_Scan']) -> None:
        if len(scans) < 2:
            return
        check_spelling(
            {split: scan.traces for split, scan in scans.items()}, 'the splits', strict=self.strict_split
        )
        lines = shared(named_by_content({split: scan.traces for split, scan in scans.items()}))
        if lines and self.strict_split:
            raise DataError('the splits share data, so the metrics would be too good; ' + '; '.join(lines))
        if lines:
            warn('the splits share data, metrics will be too good: ' + '; '.join(lines))


class _Scan(NamedTuple):
    """What the checks need of a split; a million items themselves would not fit into memory twice."""

    paths: list[str]
    traces: Traces
    wrong: dict[str, list[str]]  # task -> items whose label is not 0 or 1
    labelled: set[str]  # tasks with a label


def _scan(items: Iterable[dict], kinds: dict[str, str]) -> _Scan:
    scan = _Scan([], Traces(set(), set(), {}), defaultdict(list), set())
    for i, item in enumerate(items):
        if item.get('img_path') is not None:
            scan.paths.append(item['img_path'])
        add_item(scan.traces, item)
        for task, value in (item.get('gt_label') or {}).items() if kinds else ():
            scan.labelled.add(task)
            if kinds.get(task) == 'binary' and value not in (0, 1):
                scan.wrong[task].append(f'item {i} has {value!r}')
    return scan


def _warn_without_best(runner: Runner, kinds: dict[str, str], labelled: set[str]) -> None:
    """Say that validation will not be able to choose a checkpoint, for want of labels."""
    hook = next((hook for hook in runner.hooks if getattr(hook, 'save_best', None)), None)
    metrics = getattr(hook, 'key_indicators', [])
    chosen_by = {next(iter(kinds)) if metric == 'auto' else _task_of(metric, kinds) for metric in metrics}
    lacking = sorted(task for task in chosen_by & {*kinds} if task not in labelled)
    if lacking:
        warn(
            f'val: no label of {", ".join(lacking)} is known, so no best checkpoint will be saved: the last '
            'one is all there will be. Add labels, or let another metric choose (default_hooks.checkpoint)'
        )


def _task_of(metric: str, kinds: dict[str, str]) -> str:
    """The task that a metric such as ``N_roc_auc`` is of; the longest name that fits."""
    return max((task for task in kinds if metric.startswith(f'{task}_')), key=len, default='')


def _has_files(split: str, dataset: Any) -> bool:
    """Whether paths are files, which they are not if a transform reads them through a file backend."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    packed = any(getattr(transform, 'backend_args', None) for transform in transforms)
    if packed:
        tell(f'{split}: images come from a file backend and are not checked before they are used')
    return not packed


def items_of(dataset: Any) -> Iterable[dict]:
    """The items of a multi-task dataset, each image of several views, or of any mmengine dataset."""
    if hasattr(dataset, 'images'):
        return dataset.images  # type: ignore[no-any-return]
    if hasattr(dataset, 'get_data_info'):
        return (dataset.get_data_info(i) for i in range(len(dataset)))
    return getattr(dataset, 'data_list', ())


def _test_items(dataloader: dict | None) -> list[dict]:
    """The items of the test set, [] if its meta file is not there yet."""
    if not dataloader:
        return []
    try:
        return list(items_of(DATASETS.build(dict(dataloader['dataset'], pipeline=[]))))
    except ValueError as error:
        tell(f'the test split is not checked against training data: {error}')
        return []


def _compare_views(model: Any, datasets: dict[str, Any]) -> None:
    """The network and the data must have the same number of views in a sample."""
    n_views = getattr(getattr(get_ori_model(model), 'neck', None), 'n_views', 1)
    for split, dataset in datasets.items():
        of_data = getattr(dataset, 'n_views', 1)
        if of_data != n_views:
            raise DataError(
                f'{split}: samples have n_views {of_data}, model.neck takes {n_views}; give both the same'
            )


def _compare_tasks(kinds: dict[str, str], datasets: dict[str, Any]) -> None:
    """Warn, once, of tasks that only the config or only the data have."""
    tasks = {split: getattr(dataset, 'metainfo', {}).get('tasks') for split, dataset in datasets.items()}
    differing = {split: names for split, names in tasks.items() if names and set(names) != set(kinds)}
    if kinds and differing:
        of_data = ', '.join(f'{split} {names}' for split, names in differing.items())
        warn(
            f'tasks of the config: {list(kinds)}, tasks of the data: {of_data}. Tasks that the data lack are '
            'not trained, tasks that the config lacks are not used'
        )
