"""Export a trained network to ONNX.

config, checkpoint -> FILE.onnx: grey image -> one output per task; preprocessing in its metadata
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnxruntime
import torch
from mmengine.registry import RUNNERS

from mammo.engine.cli import load_config, one_message_for_bad_input
from mammo.engine.config import set_options
from mammo.errors import DataError
from mammo.inference.export import TaskOutputs, export
from mammo.options import add_config_arguments
from mammo.records.files import read_record

TOLERANCE = 1e-4  # between onnxruntime and PyTorch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', type=Path, required=True, help='FILE.onnx')
    parser.add_argument(
        '--preprocess', type=Path, help='preprocess.json of the data, to be described in the file'
    )
    return parser.parse_args()


@torch.inference_mode()
def largest_difference(path: Path, model: TaskOutputs) -> float:
    """Between the file in onnxruntime and the model in PyTorch, on noise, batch of 3."""
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    height, width = session.get_inputs()[0].shape[2:]
    image = np.random.default_rng(0).uniform(0, 255, (3, 1, height, width)).astype(np.float32)
    pairs = zip(session.run(None, {'image': image}), model(torch.from_numpy(image)), strict=True)
    return max(float(np.abs(found - expected.numpy()).max()) for found, expected in pairs)


def main() -> None:
    args = parse_args()
    with one_message_for_bad_input():
        cfg = load_config(args)
        cfg.load_from, cfg.resume = args.checkpoint, False
        set_options(cfg, args.cfg_options)
        runner = RUNNERS.build(cfg)
        runner.load_or_resume()
        try:
            extra = dict(preprocess=read_record(args.preprocess)) if args.preprocess else {}
            export(runner.model, cfg.test_dataloader.dataset.pipeline, args.out, extra)
        except ValueError as error:
            raise DataError(f'{args.config}: not exported: {error}') from None
    difference = largest_difference(args.out, TaskOutputs(runner.model).eval())
    print(f'{args.out}: {difference:.1e} at most from PyTorch')
    if difference > TOLERANCE:
        sys.exit(
            f'{args.out}: differs from PyTorch by {difference:.1e}, more than {TOLERANCE}; do not use it'
        )


if __name__ == '__main__':
    main()
