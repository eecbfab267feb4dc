"""mmpretrain's classification inferencer on models of several tasks, whose samples the stock class refuses.

image, model of several tasks -> dict by task; of all other models what the stock class gives
"""

import functools
from typing import Any

from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.structures import MultiTaskDataSample

from mammo.engine.scoring.metrics import predicted_tasks, task_result
from mammo.engine.stock.pictures import UniversalVisualizer


def extend_inferencer() -> None:
    """Teach the stock class samples of several tasks, once; what it does of all others stays."""
    if hasattr(ImageClassificationInferencer.postprocess, '__wrapped__'):
        return
    stock, stock_visualize = (
        ImageClassificationInferencer.postprocess,
        ImageClassificationInferencer.visualize,
    )

    @functools.wraps(stock)
    def postprocess(self: Any, preds: list, visualization: Any, return_datasamples: bool = False) -> list:
        if return_datasamples or not _of_several_tasks(preds):
            return stock(self, preds, visualization, return_datasamples)
        return [by_task(sample) for sample in preds]

    @functools.wraps(stock_visualize)
    def visualize(self: Any, ori_inputs: list, preds: list, *args: Any, **kwargs: Any) -> Any:
        if self.visualizer is None and _of_several_tasks(preds):
            self.visualizer = UniversalVisualizer()
        return stock_visualize(self, ori_inputs, preds, *args, **kwargs)

    ImageClassificationInferencer.postprocess = postprocess
    ImageClassificationInferencer.visualize = visualize


def by_task(sample: MultiTaskDataSample) -> dict[str, dict[str, float]]:
    """Raw output, and prob of a binary task or value of a regression task, by task.

    Its keys are those of a prediction file: ``dict(N=dict(logit=-0.4, pred_score=0.401))``.
    """
    content = sample.to_dict()
    results = {task: task_result(content[task]) for task in predicted_tasks(content)}
    return {task: dict(logit=result.logit, pred_score=result.prob) for task, result in results.items()}


def _of_several_tasks(preds: list) -> bool:
    return all(isinstance(s, MultiTaskDataSample) and predicted_tasks(s.to_dict()) for s in preds)
