"""The image classifier, told its tasks once.

images (B, 3, H, W) -> losses, predictions or features, as mmpretrain's ImageClassifier
"""

from typing import Any

from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS

from models.heads import TaskHead

# The argument of each neck that says how many numbers it emits.
OUTPUT_ARGUMENT = dict(TransformerNeck='out_dims', DwiseConvResBlockPooling='out_channels')


@MODELS.register_module()
class ImageTabClassifier(ImageClassifier):
    """ImageClassifier whose neck width and heads follow from one list of tasks.

    Args:
        tasks: list of ``dict(name, kind, loss_weight)``; see ``configs/_base_/tasks.py``. Without it
            neck and head are those that the config gives.
        task: name of the task if ``head`` is the head of a single task.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict | None = None,
        head: dict | None = None,
        *,
        tasks: list[dict] | None = None,
        task: str = 'N',
        **kwargs: Any,
    ) -> None:
        if tasks is None and isinstance(head, dict) and _is_task_head(head):
            head = dict(type='MultiTaskHead', task_heads={task: head})
        if tasks is not None:
            head = dict(head or {}, tasks=tasks)
            head.setdefault('type', 'MultiTaskHead')
        if tasks is not None and neck is not None and neck['type'] in OUTPUT_ARGUMENT:
            neck = {OUTPUT_ARGUMENT[neck['type']]: len(tasks), **neck}
        super().__init__(backbone, neck=neck, head=head, **kwargs)


def _is_task_head(head: dict) -> bool:
    found = MODELS.get(head['type'])
    return found is not None and issubclass(found, TaskHead)
