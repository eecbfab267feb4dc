"""The last transform: image and labels become what the model takes.

dict with img, gt_label, identity -> dict(inputs=(C, H, W) tensor, data_samples=MultiTaskDataSample)
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmpretrain.datasets.transforms import PackInputs as StockPackInputs
from mmpretrain.registry import TRANSFORMS as STOCK_TRANSFORMS
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mammo.errors import UserError
from mammo.records.predictions import carried
from models.registry import TRANSFORMS

IDENTITY_KEYS = ('img_name', 'patient_id', 'exam_id', 'view', 'laterality', 'views')


@STOCK_TRANSFORMS.register_module()
class MammoPackMultiTaskInputs(BaseTransform):
    """Pack an image and its labels, if any; a label that is absent leaves its task out of the sample.

    Labels become float32 tensors of shape (1,). (Stock packing turns ``[0.765]`` into 0 and refuses
    ``0.765``.)

    Args:
        multi_task_fields: fields that hold values by task; only ``gt_label`` exists here.
        task_handlers: optional transform per task that packs further fields, as published configs
            name them.
    """

    def __init__(
        self, multi_task_fields: Sequence[str] = ('gt_label',), task_handlers: dict[str, dict] | None = None
    ) -> None:
        if tuple(multi_task_fields) != ('gt_label',):
            raise UserError(
                f"MammoPackMultiTaskInputs: multi_task_fields is {multi_task_fields}, expected ('gt_label',)"
            )
        self.task_handlers = {
            task: TRANSFORMS.build(handler) for task, handler in (task_handlers or {}).items()
        }

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pixels (H, W[, C]) -> tensor (C, H, W), known labels as float32 (1,), identity as metainfo."""
        labels = results.get('gt_label') or {}
        keys = (*StockPackInputs.DEFAULT_META_KEYS, *IDENTITY_KEYS)
        fields = {key: results[key] for key in keys if key in results} | carried(results)
        sample = MultiTaskDataSample(metainfo={k: v for k, v in fields.items() if k not in labels})
        rest = {key: value for key, value in results.items() if key not in ('img', 'gt_label')}
        for task, value in labels.items():
            handler = self.task_handlers.get(task)
            task_sample = handler(rest)['data_samples'] if handler else DataSample()
            task_sample.set_field(torch.tensor([value], dtype=torch.float32), 'gt_label', dtype=torch.Tensor)
            sample.set_field(task_sample, task)
        return dict(inputs=StockPackInputs.format_input(results['img']), data_samples=sample)


# Under the stock name: published configs pack the samples of MammoSingleTaskDataset with it.
@TRANSFORMS.register_module()
class PackInputs(StockPackInputs):
    """The stock transform; labels by task are packed as :class:`MammoPackMultiTaskInputs` does."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack labels by task as :class:`MammoPackMultiTaskInputs` does, other labels as the stock class."""
        if isinstance(results.get('gt_label'), dict):
            return MammoPackMultiTaskInputs().transform(results)
        return super().transform(results)
