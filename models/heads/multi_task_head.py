"""Task heads side by side, one per task of the config.

neck output ((B, num_tasks),) and multi-task samples -> losses by task, or samples with a prediction per task
"""

from typing import Any

from mmpretrain.models.heads import MultiTaskHead as StockMultiTaskHead
from mmpretrain.structures import DataSample, MultiTaskDataSample
from torch import Tensor

from models.heads.task_heads import TaskHead, joint_losses
from models.heads.tasks import head_configs
from models.registry import MODELS


def _of_task(sample: MultiTaskDataSample, task: str) -> DataSample:
    """The task's part of a sample; empty without a label, also where the image has a field of that name."""
    part = sample.get(task)
    return part if isinstance(part, DataSample) else DataSample()


# Under the stock name: published configs name the stock head, which on several processes skips the loss of a
# task on a process without labels and so leaves the others waiting, or averages over the wrong count.
@MODELS.register_module()
class MultiTaskHead(StockMultiTaskHead):
    """Heads side by side, one per task.

    That of a single task has the weights of a lone head (``fc.*``), as published checkpoints have them; it
    also loads them by the name of the task (``task_heads.N.fc.*``).

    Args:
        tasks: list of ``dict(name, kind, loss_weight, loss)``; or
        task_heads: dict of head configs by task name, as in published configs.

    Raises:
        ValueError: no task, or a head that is none of ours.
    """

    def __init__(
        self, task_heads: dict | None = None, tasks: list[dict] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(task_heads or head_configs(tasks or []), **kwargs)
        if not self.task_heads:
            raise ValueError('MultiTaskHead: no task given; fill `tasks` or `task_heads`')
        for name, head in self.task_heads.items():
            if not isinstance(head, TaskHead):
                raise ValueError(
                    f'MultiTaskHead: the head of {name} is {type(head).__name__}, expected a task head '
                    "(BinaryTaskHead, ...); for stock heads set type='mmpretrain.MultiTaskHead'"
                )
            del head.loss  # the stock class has wrapped it: back to the method
        self.register_state_dict_post_hook(_as_lone_head)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """What all heads read; (B, C)."""
        return feats[-1]

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[MultiTaskDataSample] | None = None
    ) -> list[MultiTaskDataSample]:
        """As the stock method, for tasks too that have the name of what is known of an image, such as age."""
        for sample in data_samples or ():
            for name in self.task_heads.keys() & set(sample.metainfo_keys()):
                sample.pop(name)
        return super().predict(feats, data_samples)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        lone = [key for key in state_dict if key.startswith(f'{prefix}fc.')]
        if len(self.task_heads) == 1:
            (name,) = self.task_heads
            for key in lone:
                state_dict[f'{prefix}task_heads.{name}.{key[len(prefix) :]}'] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def loss(
        self, feats: tuple[Tensor, ...], data_samples: list[MultiTaskDataSample], **_: Any
    ) -> dict[str, Tensor]:
        """Weighted loss of every task, by ``{task}_loss``; zero with a graph where a batch has no label."""
        samples = [[_of_task(sample, task) for sample in data_samples] for task in self.task_heads]
        losses = joint_losses([*self.task_heads.values()], feats, samples)
        return {f'{task}_loss': loss for task, loss in zip(self.task_heads, losses, strict=True)}


def _as_lone_head(head: MultiTaskHead, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    """Name the weights of a single task's head as those of a lone one."""
    if len(head.task_heads) == 1:
        (name,) = head.task_heads
        start = f'{prefix}task_heads.{name}.'
        for key in [key for key in state if key.startswith(f'{start}fc.')]:
            state[prefix + key.removeprefix(start)] = state.pop(key)
