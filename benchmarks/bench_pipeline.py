"""Pipelines of the configs, PNG file to tensor, and from there to the network: stock against one channel.

phantom images as PNG -> CPU milliseconds per image on one core; both give the same tensors for the same seeds
Command: python benchmarks/bench_pipeline.py
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import dataset  # noqa: F401
import models  # noqa: F401
from benchmarks import limits, table
from benchmarks.stock import as_stock
from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import sample_patients
from mammo.preprocess.images import write_png

N_DRAWS = 16  # images per timing; augmentation is drawn anew for each
PATCH_PX = 512
DATA = ROOT / 'configs/_base_/data'


def breasts(shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """One phantom breast in two views, uint8 (H, W)."""
    patient = sample_patients(1, np.random.default_rng(0)).to_dict('records')[0]
    for index, (ds, _) in enumerate(render_exam(patient, 0, shape, seed=0)):
        if index == 2:
            return
        yield (ds.pixel_array >> ds.BitsStored - 8).astype(np.uint8)


def write(folder: Path, images: Iterator[np.ndarray]) -> list[str]:
    """Images as PNG files, as the preprocessing writes them."""
    paths = []
    for image in images:
        paths.append(str(folder / f'{len(list(folder.iterdir()))}.png'))
        write_png(Path(paths[-1]), image)
    return paths


def patches(image: np.ndarray) -> Iterator[np.ndarray]:
    """Four patches of the middle of the breast."""
    top, left = image.shape[0] // 2 - PATCH_PX, image.shape[1] // 6
    for row in (top, top + PATCH_PX):
        for column in (left, left + PATCH_PX):
            yield image[row : row + PATCH_PX, column : column + PATCH_PX]


def run(steps: list[dict], paths: list[str]) -> Callable[[], list]:
    """Work of ``N_DRAWS`` images -> their tensors; the same draws at each call."""
    pipeline = Compose(steps)
    labels = {} if steps[-1]['type'] == 'PackInputs' else dict(gt_label={'N': 1.0})

    def work() -> list:
        np.random.seed(0)
        packed = (pipeline(dict(labels, img_path=paths[i % len(paths)])) for i in range(N_DRAWS))
        return [images['inputs'] for images in packed]

    return work


def compare(stage: str, steps: list[dict], paths: list[str], least_ratio: float) -> table.Row:
    """Time a pipeline, after a look whether its tensors are the stock ones."""
    stock, ours = run(as_stock(steps), paths), run(steps, paths)
    peak = table.peak_mib(ours)
    for expected, found in zip(stock(), ours(), strict=True):
        views = (expected, found) if isinstance(found, list) else ([expected], [found])
        assert all(torch.equal(f.expand_as(e), e) for e, f in zip(*views, strict=True)), stage
    pair = table.interleaved(stock, ours).times(1000 / N_DRAWS)
    pixels = np.mean([cv2.imread(path, cv2.IMREAD_GRAYSCALE).size for path in paths])
    needs = {limits.DECODED: float(pixels) / 1e6}
    return table.compared(stage, pair, 'ms', peak, least_ratio=least_ratio, needs=needs)


def batch_to_input(batch: tuple[int, int, int]) -> table.Row:
    """Time the preprocessor of the model on a batch (B, H, W), first convolution included, as it may copy."""
    config = dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3)
    grey = torch.randint(0, 256, (batch[0], 1, *batch[1:]), dtype=torch.uint8)
    conv = torch.nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
    images = (grey.repeat(1, 3, 1, 1), grey)
    preprocessors = (MODELS.build(c) for c in (as_stock(config), config))

    def work(module: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return conv(module(dict(inputs=inputs))['inputs'])

    stock, ours = (
        lambda module=module, inputs=inputs: work(module, inputs)
        for module, inputs in zip(preprocessors, images, strict=True)
    )
    peak = table.peak_mib(ours)
    assert torch.equal(stock(), ours())
    pair = table.interleaved(stock, ours).times(1000 / batch[0])
    return table.compared('batch to first convolution, 1792x1024', pair, 'ms', peak)


def measure() -> list[table.Row]:
    """All pipelines; the sizes in the stages are those of the PNG files."""
    init_default_scope('mammo')
    configs = {path.stem: Config.fromfile(path) for path in DATA.glob('*.py')}
    full, ssl, swav = (configs[n] for n in ('full_breast_1792x1024', 'patches_224', 'patches_224_96'))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in ((2000, 1100), (3000, 2000)):
            images = list(breasts(shape))
            paths = write(Path(folder), iter(images))
            for name, least_ratio in (('training', 3), ('test', 2)):
                steps = full.train_pipeline if name == 'training' else full.test_pipeline
                rows.append(compare(f'full breast, {name}, {shape[0]}x{shape[1]}', steps, paths, least_ratio))
        paths = write(Path(folder), patches(images[0]))
        rows.append(compare(f'two views, {PATCH_PX}x{PATCH_PX}', ssl.train_pipeline, paths, 2.5))
        rows.append(compare(f'SwAV, eight views, {PATCH_PX}x{PATCH_PX}', swav.train_pipeline, paths, 2.5))
    return [*rows, batch_to_input((2, 1792, 1024))]


if __name__ == '__main__':
    table.main(measure, __doc__)
