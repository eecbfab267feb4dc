"""A trained network as ONNX, to be run without this project.

model, test pipeline -> FILE.onnx: grey image (B, 1, H, W) of 0 to 255 -> one output (B,) per task
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mammo.errors import UserError
from mammo.records.storage.files import replacing
from mammo.records.versions import VERSIONS

OPSET = 20
# Steps of a test pipeline that another program can repeat; it does the last two itself.
SIZE_STEPS = ('Resize', 'CenterCrop')
OTHER_STEPS = ('LoadMammogram', 'LoadImageFromFile', 'MammoPackMultiTaskInputs', 'PackInputs')


class TaskOutputs(nn.Module):
    """Normalisation, network and the last step to a prediction, in one module.

    Shape:
        image (B, 1, H, W), grey values 0 to 255 at the network's input size -> per task (B,): the
        probability of a binary task, the value of a regression task
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.binary = [head.kind == 'binary' for head in model.head.task_heads.values()]
        self.mean, self.std = (constant_of(model.data_preprocessor, name) for name in ('mean', 'std'))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class for shapes; one output per task, in the order of the tasks."""
        normal = ((image - self.mean) / self.std).expand(-1, 3, -1, -1)  # (B, 3, H, W)
        logits = self.model.head(self.model.extract_feat(normal)).values()
        pairs = zip(logits, self.binary, strict=True)
        return tuple(torch.sigmoid(logit) if binary else logit for logit, binary in pairs)


def constant_of(preprocessor: nn.Module, name: str) -> float:
    """The mean or std that all channels share.

    Raises:
        UserError: the channels differ, so that a grey image has no single one.
    """
    values = sorted({float(value) for value in getattr(preprocessor, name).flatten()})
    if len(values) != 1:
        raise UserError(f'data_preprocessor.{name} is {values}, expected one value for all channels')
    return values[0]


def steps_of_images(pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps that each image goes through, also where it is one of several views of a sample."""
    return [step for outer in pipeline for step in outer.get('transforms', [outer])]


def size_steps(pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps that bring an image to the network's input size, as plain data.

    Raises:
        UserError: the test pipeline does more than load, resize, crop and pack.
    """
    pipeline = steps_of_images(pipeline)
    unknown = [step['type'] for step in pipeline if step['type'] not in SIZE_STEPS + OTHER_STEPS]
    if unknown:
        raise UserError(f'the test pipeline has {unknown}, which the file cannot describe')
    return [json.loads(json.dumps(step)) for step in pipeline if step['type'] in SIZE_STEPS]


def input_size(steps: list[dict[str, Any]]) -> tuple[int, int]:
    """Height and width in pixels after the last step.

    Raises:
        UserError: they depend on the image.
    """
    last = steps[-1] if steps else {}
    size = last.get('scale', last.get('crop_size'))
    size = (size, size) if isinstance(size, int) else size
    if last.get('keep_ratio') or not isinstance(size, list | tuple) or len(size) != 2:
        raise UserError(
            f'the test pipeline ends with {last or None}, which leaves the size open; expected Resize with '
            'scale=(width, height), or CenterCrop with crop_size=(width, height)'
        )
    width, height = size
    return int(height), int(width)


def export(
    model: Any, pipeline: list[dict[str, Any]], path: Path, extra: dict[str, Any], *, batch: int | None = None
) -> None:
    """Write the ONNX file with names, kinds and preprocessing in its metadata; ``extra`` is added to it."""
    import onnx  # late: answers need the steps of a pipeline only

    steps = size_steps(pipeline)
    height, width = input_size(steps)
    n_views = getattr(model.neck, 'n_views', 1)
    height *= n_views  # one below the other, black where one is missing
    outputs = TaskOutputs(model.cpu()).eval()
    tasks = {name: head.kind for name, head in model.head.task_heads.items()}
    example = torch.zeros(batch or 2, 1, height, width)
    dynamic = None if batch else ({0: torch.export.Dim('batch', min=1, max=4096)},)
    with torch.no_grad(), warnings.catch_warnings(action='ignore'):  # of torch about itself
        program = torch.onnx.export(
            outputs, (example,), input_names=['image'], output_names=list(tasks), opset_version=OPSET,
            dynamo=True, dynamic_shapes=dynamic, verbose=False,
        )  # fmt: skip
    assert program is not None  # with dynamo=True
    proto = program.model_proto
    described = dict(
        format_version=VERSIONS['onnx'],
        tasks=tasks,
        input=dict(shape=[batch or 'batch', 1, height, width], grey_range=[0, 255]),
        steps=steps,
        n_views=n_views,
        normalisation=dict(mean=outputs.mean, std=outputs.std, inside=True),
        **extra,
    )
    onnx.helper.set_model_props(proto, {'mammogram': json.dumps(described)})
    with replacing(path) as tmp:
        onnx.save(proto, str(tmp))
