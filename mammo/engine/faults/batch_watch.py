"""The batch at hand is known, so that what goes wrong can name it; what a lost step changed is undone.

data batch -> its shape and image paths in messages; skipped step -> model as before its batch
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from mammo.engine.log import warn
from mammo.errors import Exit, UserError, listed


class NotFiniteError(UserError):
    """Too many steps in a row whose loss or gradients are not finite."""

    exit_code = Exit.NOT_FINITE


@HOOKS.register_module()
class BatchWatchHook(Hook):
    """Logs steps that were skipped since loss or gradients are not finite, and stops after too many in a row.

    A skipped step leaves no trace: what the forward pass has changed (running statistics of BatchNorm,
    the queue of SwAV) is put back.

    Args:
        max_in_a_row: as many steps skipped in a row stop the run.

    Raises:
        NotFiniteError: with the images of the last batch and the last checkpoint.
    """

    priority = 'VERY_HIGH'
    mode = 'train'
    batch = 'no batch yet'

    def __init__(self, max_in_a_row: int = 10) -> None:
        self.max_in_a_row = max_in_a_row
        self.skipped = 0  # in a row
        self.samples: list[Any] = []  # of the step at hand; several batches if gradients accumulate
        self.kept: list[tuple[Tensor, Tensor]] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep what a forward pass changes in place, and which images the step is made of."""
        if not self.samples:
            self.kept = [(tensor, tensor.clone()) for tensor in changed_by_forward(runner.model)]
        self.samples.append((data_batch or {}).get('data_samples'))
        self._before_iter(runner, batch_idx, data_batch, 'train')

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train'
    ) -> None:
        self.mode, self.batch = mode, in_words(data_batch)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Take a step back whose loss or gradients are not finite, and name its images.

        Raises:
            NotFiniteError: it was the last of ``max_in_a_row``.
        """
        problem = getattr(runner.optim_wrapper, 'problem', '')
        if problem is None:  # gradients accumulate
            return
        samples, self.samples = self.samples, []
        if not problem:
            self.skipped = 0
            return
        self.skipped += 1
        with torch.no_grad():
            for tensor, before in self.kept:
                tensor.copy_(before)
        self._report(runner, problem, image_paths(samples) if runner.optim_wrapper.at_fault else [])

    def _report(self, runner: Runner, problem: str, local_paths: list[str]) -> None:
        paths = [path for paths in all_gather_object(local_paths) for path in paths]
        place = f'epoch {runner.epoch + 1}, iteration {runner.iter + 1}: {problem}'
        images = f'images: {listed(paths) or "not known"}'
        if self.skipped >= self.max_in_a_row:
            raise NotFiniteError(
                f'{place}, in {self.skipped} steps in a row; {images}. Look at these images, lower the '
                'learning rate (optim_wrapper.optimizer.lr) or train without --amp. Then '
                f'{where_to_go_on(runner)}'
            )
        counted = f'{self.skipped} in a row, {self.max_in_a_row} end the run'
        warn(f'{place}; step skipped ({counted}); {images}')


def changed_by_forward(model: nn.Module) -> Iterator[Tensor]:
    """Tensors that a training forward pass may change in place: buffers and plain attributes."""
    for module in model.modules():
        if module.training:
            yield from (value for value in module._buffers.values() if value is not None)
            yield from (value for value in vars(module).values() if isinstance(value, Tensor))


def where_to_go_on(runner: Runner) -> str:
    """Where training can go on after a change, in words."""
    last = runner.message_hub.runtime_info.get('last_ckpt')
    return f'go on with --resume; the last checkpoint is {last}' if last else 'start anew: none is saved yet'


def in_words(data_batch: Any) -> str:
    """A batch before preprocessing -> such as '16 images of 1792 x 1024 (height x width)'."""
    sizes: Counter[tuple[int, ...]] = Counter()
    inputs = data_batch.get('inputs') if isinstance(data_batch, dict) else None
    for tensor in _tensors(inputs):
        sizes[tuple(tensor.shape[-2:])] += len(tensor) if tensor.ndim == 4 else 1
    words = [f'{n} images of {" x ".join(map(str, size))}' for size, n in sizes.items()]
    return f'{" and ".join(words)} (height x width)' if words else 'a batch of unknown size'


def image_paths(samples: Any) -> list[str]:
    """Data samples, nested or None -> their image paths."""
    if isinstance(samples, list | tuple):
        return [path for child in samples for path in image_paths(child)]
    path = getattr(samples, 'img_path', None)
    return [str(path)] if path else []


def _tensors(inputs: Any) -> Iterator[Tensor]:
    if isinstance(inputs, Tensor):
        yield inputs
    elif isinstance(inputs, list | tuple):
        for child in inputs:
            yield from _tensors(child)
