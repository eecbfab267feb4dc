"""Predictions of a test run, image by image, to a file.

data samples with logit, pred_score, gt_label per task -> prediction records on disk
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from mammo.engine.scoring.metrics import predicted_tasks, task_result
from mammo.records.predictions import CARRIED, write_predictions


@METRICS.register_module()
class PredictionWriter(BaseMetric):
    """Writes a prediction record per image; has no metric of its own.

    Args:
        out_file: ``.pkl``, ``.json`` or ``.csv``.
    """

    default_prefix = ''

    def __init__(self, out_file: str) -> None:
        super().__init__(collect_device='gpu')
        self.out_file = out_file

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the record of each image of a batch."""
        self.results += [prediction_record(sample) for sample in data_samples]

    def compute_metrics(self, results: list[dict]) -> dict:
        """Write the records of all processes; there is no metric."""
        write_predictions(self.out_file, results)
        return {}


def prediction_record(sample: dict) -> dict:
    """A multi-task data sample -> the record that DESIGN's prediction files hold."""
    tasks = {task: task_result(sample[task]) for task in predicted_tasks(sample)}
    optional = {key: sample[key] for key in CARRIED if key not in tasks and sample.get(key) is not None}
    return dict(
        img_path=sample['img_name'],
        **{key: sample.get(key) for key in ('patient_id', 'exam_id', 'view', 'laterality')},
        **optional,
        tasks={
            task: dict(logit=s.logit, pred_score=s.prob, gt_label=None if np.isnan(s.label) else s.label)
            for task, s in tasks.items()
        },
    )
