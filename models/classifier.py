"""The image classifier, told its tasks once.

images (B, 3, H, W) -> losses, predictions or features, as mmpretrain's ImageClassifier
"""

from typing import Any

import torch
from einops import rearrange
from mmengine.registry import DefaultScope
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS as STOCK_MODELS
from torch import Tensor, nn

from models.backbones.folding import FoldedNetwork
from models.heads.task_heads import TaskHead
from models.necks.breast_cells import breast_cells
from models.necks.fitting import fitted
from models.registry import MODELS, SCOPE

STAGES = ('backbone', 'neck', 'pre_logits')


@STOCK_MODELS.register_module()
class ImageTabClassifier(ImageClassifier):
    """ImageClassifier whose neck width and heads follow from one list of tasks.

    Its parts are built in our own scope, wherever it is built itself.

    Args:
        tasks: list of ``dict(name, kind, loss_weight)``; see ``configs/_base_/tasks.py``. Without it
            neck and head are those that the config gives.
        task: name of the task if ``head`` is the head of a single task.
        image_size: (height, width) of the input in pixels, from which the neck's position grid
            follows; default: the size that the neck was made for. See :mod:`models.necks.fitting`.
        frozen_backbone: none of the backbone learns, whatever it is: no gradient, eval mode.
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
        image_size: tuple[int, int] | None = None,
        frozen_backbone: bool = False,
        from_maps: bool = False,
        compile_backbone: bool = False,
        data_preprocessor: dict | None = None,
        **kwargs: Any,
    ) -> None:
        with DefaultScope.overwrite_default_scope(SCOPE):
            network = MODELS.build(backbone)
            if isinstance(neck, dict):
                n_tasks = None if tasks is None else len(tasks)
                channels = (data_preprocessor or {}).get('channels', 3)
                neck = fitted(neck, network, n_tasks=n_tasks, image_size=image_size, channels=channels)
            head = _with_tasks(head, tasks, task)
            super().__init__(network, neck, head, data_preprocessor=data_preprocessor, **kwargs)
        self.from_maps, self.frozen_backbone = from_maps, frozen_backbone
        if frozen_backbone:
            self.backbone.requires_grad_(False)
        self.folded = FoldedNetwork(compiled=compile_backbone)

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor') -> Any:
        """As the stock method; mode ``tensor`` gives the raw outputs of all tasks as one (B, tasks)."""
        outputs = super().forward(inputs, data_samples, mode)
        is_by_task = mode == 'tensor' and isinstance(outputs, dict)
        return torch.stack([*outputs.values()], dim=1) if is_by_task else outputs

    def extract_feat(self, inputs: Tensor, stage: str = 'neck') -> tuple[Tensor, ...]:
        """Images or, with ``from_maps``, maps (B, C, h, w) -> what a stage gives, as the stock method."""
        if stage not in STAGES:
            raise ValueError(f'extract_feat: stage is {stage!r}, expected one of {STAGES}')
        feats = self.maps(inputs)
        if stage != 'backbone' and self.with_neck:
            feats = self.neck(feats)
        if stage != 'pre_logits':
            return feats
        assert hasattr(self.head, 'pre_logits'), 'the model has no head with pre_logits'
        return self.head.pre_logits(feats)

    def maps(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps of the backbone, which runs folded while it is constant; see :class:`FoldedNetwork`.

        Where the neck takes several views (``n_views``), these lie one below the other, in images as in
        maps, and maps are 0 where a view shows nothing; where it reads the breast alone
        (``breast_margin``), they are 0 at all other cells.
        """
        if self.from_maps:
            return (inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs,)
        neck = self.neck if self.with_neck else None
        n_views, margin = getattr(neck, 'n_views', 1), getattr(neck, 'breast_margin', None)
        views = rearrange(inputs, 'b c (v h) w -> (b v) c h w', v=n_views) if n_views > 1 else inputs
        maps = self.folded(self.backbone, views)
        if margin is not None:
            maps = tuple(m * breast_cells(views, (m.shape[2], m.shape[3]), margin) for m in maps)
        if n_views == 1:
            return maps
        lowest, highest = (bound(views, dim=(2, 3), keepdim=True) for bound in (torch.amin, torch.amax))
        there = (lowest < highest).any(dim=1, keepdim=True)  # a single value: no view
        return tuple(rearrange(m * there, '(b v) c h w -> b c (v h) w', v=n_views) for m in maps)

    def maps_for_neck(self, images: Tensor) -> Tensor:
        """The last map, pooled if the neck begins with that; (B, C, H, W) -> (B, C, h, w)."""
        pool = getattr(self.neck, 'pool', nn.Identity())
        return pool(self.maps(images)[-1])

    def train(self, mode: bool = True) -> 'ImageTabClassifier':
        """As the stock method; a frozen backbone stays in eval mode, copies of old weights go."""
        super().train(mode)
        if self.frozen_backbone:
            self.backbone.eval()
        if any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.folded.clear()  # weights may have changed behind torch's back, as averaging hooks do it
        return self


def _with_tasks(head: Any, tasks: list[dict] | None, task: str) -> Any:
    """The config of the head of all tasks; that of a single task becomes the head of one task."""
    if tasks is not None:
        return dict(type='MultiTaskHead') | dict(head or {}, tasks=tasks)
    if isinstance(head, dict) and issubclass(MODELS.get(head['type']) or object, TaskHead):
        return dict(type='MultiTaskHead', task_heads={task: head})
    return head
