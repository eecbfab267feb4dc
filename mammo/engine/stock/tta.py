"""Test-time augmentation of models of several tasks, by the framework's own wrapper.

predictions of an image under several augmentations -> their mean
"""

import copy
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseTTAModel
from mmpretrain.registry import MODELS
from mmpretrain.structures import MultiTaskDataSample
from torch import Tensor

from mammo.engine.scoring.metrics import predicted_tasks
from mammo.evaluation.cohort.ensemble import mean_logit


@MODELS.register_module()
class AverageTaskTTA(BaseTTAModel):
    """Mean over the augmented images, as over the models of an ensemble: of probs, and of values."""

    def merge_preds(
        self, data_samples_list: list[tuple[MultiTaskDataSample, ...]]
    ) -> list[MultiTaskDataSample]:
        """Predictions of each image under all augmentations -> one of each."""
        return [_mean(samples) for samples in data_samples_list]


def _mean(samples: tuple[MultiTaskDataSample, ...]) -> MultiTaskDataSample:
    for task in predicted_tasks(samples[0].to_dict()):
        first, *_ = predicted = [sample.get(task) for sample in samples]
        logit = mean_logit([one.logit.item() for one in predicted], first.kind)
        first.set_field(first.logit.new_tensor([logit]), 'logit', dtype=Tensor)
        score = torch.stack([one.pred_score for one in predicted]).mean(dim=0)  # (1,)
        first.set_field(score, 'pred_score', dtype=Tensor)
    return samples[0]


def add_tta(cfg: Config) -> None:
    """Test with ``tta_model`` and ``tta_pipeline`` of a config; else on the image and its mirror image."""
    pipeline: list[Any] = cfg.test_dataloader.dataset.pipeline
    mirrored = [[dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)], [pipeline[-1]]]
    both = [*copy.deepcopy(pipeline[:-1]), dict(type='TestTimeAug', transforms=mirrored)]
    cfg.test_dataloader.dataset.pipeline = cfg.get('tta_pipeline') or both
    cfg.model = ConfigDict(cfg.get('tta_model') or dict(type='AverageTaskTTA'), module=cfg.model)
