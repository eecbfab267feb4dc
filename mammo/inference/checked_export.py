"""Export of a checkpoint, compared with PyTorch before it is done.

config, checkpoint -> FILE.onnx, largest difference
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from mmengine.registry import RUNNERS
from torch import nn

from mammo.engine.config.reading import set_options
from mammo.engine.log import tell
from mammo.engine.run import load_config
from mammo.errors import UserError
from mammo.inference.export import TaskOutputs, export
from mammo.records.storage.files import read_record

TOLERANCE = 1e-4  # between onnxruntime and PyTorch


def export_checkpoint(
    config: str | Path,
    checkpoint: str | Path,
    out: Path,
    *,
    preprocess: Path | None = None,
    cfg_options: list[str] | None = None,
    **shared: Any,
) -> float:
    """Write the file of a checkpoint, and compare it with PyTorch.

    Args:
        config, checkpoint: of the network.
        out: file to write.
        preprocess: ``preprocess.json`` of the data, to be described in the file.
        cfg_options: ``key=value`` texts, which come last and win.
        **shared: see :func:`mammo.engine.run.load_config`.

    Returns:
        The largest difference on noise.

    Raises:
        UserError: it cannot be exported, or the difference is above the tolerance.
    """
    cfg = load_config(config, **shared)
    cfg.load_from, cfg.resume = str(checkpoint), False
    set_options(cfg, cfg_options)
    runner = RUNNERS.build(cfg)
    runner.load_or_resume()
    extra = dict(preprocess=read_record(preprocess)) if preprocess else {}
    pipeline = cfg.test_dataloader.dataset.pipeline
    try:
        export(runner.model, pipeline, out, extra)
        difference = largest_difference(out, TaskOutputs(runner.model).eval())
        if difference > TOLERANCE:  # some networks (Swin) keep the batch size that they were traced with
            tell(f'{out}: takes one image at a time, since the network keeps its batch size')
            export(runner.model, pipeline, out, extra, batch=1)
            difference = largest_difference(out, TaskOutputs(runner.model).eval())
    except ValueError as error:
        raise UserError(f'{config}: not exported: {error}') from None
    if difference > TOLERANCE:
        raise UserError(
            f'{out}: differs from PyTorch by {difference:.1e}, more than {TOLERANCE}; do not use it'
        )
    return difference


@torch.inference_mode()
def largest_difference(path: Path, model: nn.Module) -> float:
    """Between the file in onnxruntime and the model in PyTorch, on noise, batch of 3 or the file's own."""
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    batch, _, height, width = session.get_inputs()[0].shape
    size = (batch if isinstance(batch, int) else 3, 1, height, width)
    image = np.random.default_rng(0).uniform(0, 255, size).astype(np.float32)
    pairs = zip(session.run(None, {'image': image}), model(torch.from_numpy(image)), strict=True)
    return max(float(np.abs(output - expected.numpy()).max()) for output, expected in pairs)
