"""The image classifier, told its tasks once.

images (B, 3, H, W) -> losses, predictions or features, as mmpretrain's ImageClassifier
"""

from typing import Any

import torch
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS
from torch import Tensor

from models.folding import FoldedNetwork
from models.heads import TaskHead

# The argument of each neck that says how many numbers it emits.
OUTPUT_ARGUMENT = dict(TransformerNeck='out_dims', DwiseConvResBlockPooling='out_channels')
STAGES = ('backbone', 'neck', 'pre_logits')


@MODELS.register_module()
class ImageTabClassifier(ImageClassifier):
    """ImageClassifier whose neck width and heads follow from one list of tasks.

    Args:
        tasks: list of ``dict(name, kind, loss_weight)``; see ``configs/_base_/tasks.py``. Without it
            neck and head are those that the config gives.
        task: name of the task if ``head`` is the head of a single task.
        from_maps: inputs are maps of the backbone, as ``tools/cache_features.py`` writes them; the
            backbone stays part of the model and its checkpoints.
        compile_backbone: run the backbone through :func:`torch.compile` wherever it is constant.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict | None = None,
        head: dict | None = None,
        *,
        tasks: list[dict] | None = None,
        task: str = 'N',
        from_maps: bool = False,
        compile_backbone: bool = False,
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
        self.from_maps = from_maps
        self.folded = FoldedNetwork(compiled=compile_backbone)

    def extract_feat(self, inputs: Tensor, stage: str = 'neck') -> tuple[Tensor, ...]:
        """Images or, with ``from_maps``, maps (B, C, h, w) -> what a stage gives, as the stock method."""
        if stage not in STAGES:
            raise ValueError(f'extract_feat: stage is {stage!r}, expected one of {STAGES}')
        feats = self.maps(inputs)
        if stage != 'backbone' and self.with_neck:
            feats = self.neck(feats)
        return self.head.pre_logits(feats) if stage == 'pre_logits' else feats

    def maps(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps of the backbone, which runs folded while it is constant; see :class:`FoldedNetwork`."""
        if self.from_maps:
            return (inputs.contiguous(memory_format=torch.channels_last),)
        return self.folded(self.backbone, inputs)

    def maps_for_neck(self, images: Tensor) -> Tensor:
        """The last map, pooled if the neck begins with that; (B, C, H, W) -> (B, C, h, w)."""
        pool = dict(TransformerNeck='pool', GlobalAveragePooling='gap').get(type(self.neck).__name__)
        maps = self.maps(images)[-1]
        return getattr(self.neck, pool)(maps) if pool else maps

    def train(self, mode: bool = True) -> 'ImageTabClassifier':
        super().train(mode)
        if any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.folded.clear()  # weights may have changed behind torch's back, as averaging hooks do it
        return self


def _is_task_head(head: dict) -> bool:
    found = MODELS.get(head['type'])
    return found is not None and issubclass(found, TaskHead)
