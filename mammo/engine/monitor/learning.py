"""Did it learn? Embeddings of held-out images, judged every few epochs of pretraining.

held-out images, with or without classes -> log lines, scalars `monitor/...`, a warning of collapse
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS
from numpy.typing import NDArray

from mammo.engine.checks.images import check_images
from mammo.engine.log import tell, warn
from mammo.engine.monitor.embed import Embeddings, embed
from mammo.engine.monitor.representation import effective_rank, embedding_std, knn_score, linear_probe_score
from mammo.errors import DataError

PLACE = 'default_hooks.learning_monitor'
MAX_CLASSES = 20


@HOOKS.register_module()
class LearningMonitorHook(Hook):
    """Logs spread and effective rank of the embedding and, with classes, how well it tells them apart.

    Args:
        dataset: config of the held-out set; without an ``ann_file`` the hook is off. Its pipeline gives
            one view per image, all of one size, without randomness.
        label_field: key of its items, or of their ``gt_label``, that holds the class; images without it
            are left out of the scores. None: no scores.
        interval: epochs between two looks; the first is before training, for comparison.
        min_std_frac: collapse if the standard deviation is below this part of 1/sqrt(d), and lower than
            before training: random weights may start there (SwAV's projection: 0.006, rank 1.1).
        min_rank: the same for the effective rank.

    Raises:
        DataError: held-out images are missing, or there are no two classes of two patients each.
    """

    def __init__(
        self,
        dataset: dict | None = None,
        label_field: str | None = None,
        interval: int = 5,
        batch_size: int = 32,
        min_std_frac: float = 0.03,
        min_rank: float = 1.6,
    ) -> None:
        self.dataset_cfg, self.label_field, self.interval = dataset, label_field, interval
        self.batch_size, self.min_std_frac, self.min_rank = batch_size, min_std_frac, min_rank
        self.dataset: Any = None

    def before_train(self, runner: Runner) -> None:
        """Read the held-out set, and look at it once before anything is learned.

        Raises:
            DataError: see above.
        """
        if not (self.dataset_cfg and self.dataset_cfg.get('ann_file')):
            tell(f'learning monitor: off, {PLACE}.dataset.ann_file names no held-out list')
            return
        self.dataset = DATASETS.build(self.dataset_cfg)
        items = [self.dataset.get_data_info(i) for i in range(len(self.dataset))]
        check_images(item['img_path'] for item in items)
        self.groups = np.array([str(item.get('patient_id') or item['img_path']) for item in items])
        self.labels = _labels(items, self.groups, self.label_field)
        if runner.iter == 0:
            self._look(runner, epoch=0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look every ``interval`` epochs, and at the end."""
        if self.dataset is None:
            return
        if self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner):
            self._look(runner, epoch=runner.epoch + 1)

    def _look(self, runner: Runner, epoch: int) -> None:
        embeddings = embed(runner.model, self.dataset, self.batch_size)
        if not is_main_process():
            return
        if not all(np.isfinite(x).all() for x in embeddings.values()):
            _warn(f'epoch {epoch}: the embedding holds NaN or infinity. Lower the learning rate')
            return
        scalars = self._judge(embeddings, epoch)
        runner.message_hub.update_scalars(scalars)
        runner.visualizer.add_scalars(scalars, step=epoch, file_path=f'{runner.timestamp}.json')
        for name, x in embeddings.items():
            self._check(runner, f'{name}_std', self.min_std_frac * x.shape[1] ** -0.5)
            self._check(runner, f'{name}_rank', self.min_rank)

    def _check(self, runner: Runner, name: str, bound: float) -> None:
        """Warn of a collapse if a number is below its bound and below what it was at first."""
        history, _ = runner.message_hub.get_scalar(f'monitor/{name}').data
        if history[-1] < min(bound, history[0]):
            _warn(
                f'collapse: {name} {history[-1]:.2g} is below {bound:.2g} and was {history[0]:.2g} at first, '
                'so all images look nearly the same to the network. Lower the learning rate, lengthen its '
                'warm-up or enlarge the batch, and see that the views of an image differ'
            )

    def _judge(self, embeddings: Embeddings, epoch: int) -> dict[str, float]:
        """All numbers of one look, said in one line."""
        scalars: dict[str, float] = {}
        texts = []
        for name, x in embeddings.items():
            std, rank = embedding_std(x), effective_rank(x)
            scalars |= {f'monitor/{name}_std': std, f'monitor/{name}_rank': rank}
            texts.append(
                f'{name} std {std:.4f} (1/sqrt({x.shape[1]}) = {x.shape[1] ** -0.5:.4f}), '
                f'effective rank {rank:.1f} of at most {min(x.shape)}'
            )
        if self.labels is not None:
            has_class = self.labels != ''
            data = embeddings['backbone'][has_class], self.labels[has_class], self.groups[has_class]
            knn, probe = knn_score(*data), linear_probe_score(*data)
            scalars |= {'monitor/knn_accuracy': knn, 'monitor/probe_accuracy': probe}
            texts.append(
                f'balanced accuracy for {self.label_field} across patients: kNN {knn:.3f}, '
                f'linear probe {probe:.3f} (chance {1 / len({*data[1]}):.3f})'
            )
        tell(f'learning monitor, epoch {epoch}, {len(self.groups)} images: {"; ".join(texts)}')
        return scalars


def _labels(items: Sequence[dict[str, Any]], groups: NDArray, field: str | None) -> NDArray | None:
    """Class of each item as text, '' if unknown; None without a field."""
    if field is None:
        tell(f'learning monitor: no kNN score and no probe, {PLACE}.label_field is not set')
        return None
    flat = [item | (item['gt_label'] if isinstance(item.get('gt_label'), dict) else {}) for item in items]
    values = [item.get(field) for item in flat]
    labels = np.array(['' if value is None or value != value else str(value) for value in values])
    patients = {str(name): len({*groups[labels == name]}) for name in sorted({*labels} - {''})}
    if not 2 <= len(patients) <= MAX_CLASSES or min(patients.values()) < 2:
        first = dict(list(patients.items())[:5])
        raise DataError(
            f'{PLACE}.label_field: {field!r} has {len(patients)} classes, with patients {first}, '
            f'expected 2 to {MAX_CLASSES} of at least 2 patients each; the held-out items have '
            f'{sorted({key for item in flat for key in item})}'
        )
    return labels


def _warn(text: str) -> None:
    warn(f'learning monitor, {text}')
