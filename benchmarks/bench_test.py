"""All of tools/test.py at published size: the stock way in float32 against ours in float32 and bfloat16.

phantom PNG files, checkpoint -> CPU seconds per image and of the whole command, its memory, probabilities
Command: OMP_NUM_THREADS=1 python benchmarks/bench_test.py
Stock is the same command with MMPreTrain's pipeline of three channels, its preprocessor, and the backbone
layer by layer, NCHW. The loader works in the process of the network, BATCH images at a time. CPU seconds per
image are what further images add: (all of MANY images - all of FEW) / (MANY - FEW). That leaves start-up out,
but not that ours looks through all files before it starts, which stock does not.
"""

import itertools
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from scipy.special import expit
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import limits, table
from benchmarks.bench_model import CONFIG, build, gflop
from benchmarks.stock import as_stock
from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import LABELS, sample_patients
from mammo.preprocess.images import write_png
from mammo.records.meta import write_meta
from mammo.records.predictions import read_predictions
from models.backbones.folding import FoldedNetwork

FEW, MANY, BATCH = 2, 10, 2
SHAPE = (2600, 1500)  # of the PNG files
TURNS = 1  # more on a busy machine; medians count
PATHS = ('stock', 'ours', 'ours amp')


class Test(NamedTuple):
    """One run of the command."""

    cpu_s: float
    peak_mib: float
    probs: np.ndarray  # (images, tasks)


def make_images(folder: Path) -> Iterator[dict]:
    """``MANY`` phantom images, as PNG files -> their items in a meta file."""
    patients = sample_patients(-(-MANY // 4), np.random.default_rng(0)).to_dict('records')
    exams = (render_exam(patient, i, SHAPE, seed=0) for i, patient in enumerate(patients))
    for i, (ds, about) in enumerate(itertools.islice(itertools.chain.from_iterable(exams), MANY)):
        image = (ds.pixel_array >> ds.BitsStored - 8).astype(np.uint8)
        write_png(folder / f'{i}.png', image)
        labels = {name: float(patients[i // 4][name]) for name in LABELS}
        yield dict(img_path=f'{i}.png', gt_label=labels, patient_id=about['patient_id'], exam_id='1')


def make_inputs(folder: Path) -> None:
    """Meta files, checkpoint, and the configs of both ways."""
    items = list(make_images(folder))
    for n_images in (FEW, MANY):
        write_meta(folder / f'{n_images}.json', items[:n_images], list(LABELS))
    model = build()
    with torch.no_grad():
        model.neck.fc.weight.normal_(0, 0.1)  # probabilities from near 0 to near 1
    torch.save(dict(state_dict=model.state_dict()), folder / 'model.pth')
    ours = Config.fromfile(ROOT / 'configs/multi_task_SL' / CONFIG)
    ours.model.backbone.init_cfg = None
    ours.test_dataloader.update(batch_size=BATCH, num_workers=0)
    ours.test_dataloader.dataset.data_root = str(folder)
    stock = Config(ours.to_dict())
    stock.model = as_stock(stock.model.to_dict())
    stock.test_dataloader = as_stock(stock.test_dataloader.to_dict())
    for name, config in (('ours', ours), ('stock', stock)):
        config.dump(folder / f'{name}.py')


def run(path: str, n_images: int, folder: Path) -> Test:
    """Test ``n_images`` in a process of its own."""
    out = folder / f'{path} {n_images}.json'
    way = path.split()[0]
    command = [sys.executable, __file__, '--stock'] if way == 'stock' else [sys.executable, 'tools/test.py']
    command += [
        f'{folder}/{way}.py',
        f'{folder}/model.pth',
        '--work-dir',
        f'{folder}/{path}',
        '--out',
        str(out),
    ]
    command += ['--no-check-data'] if way == 'stock' else []
    command += ['--amp'] if path.endswith('amp') else []
    command += ['--cfg-options', f'test_dataloader.dataset.ann_file={n_images}.json']
    used = table.run_apart(command)
    records = sorted(read_predictions(out), key=lambda record: record['img_path'])
    logits = np.array([[task['logit'] for task in record['tasks'].values()] for record in records])
    return Test(*used, expit(logits))


def run_stock(arguments: list[str]) -> None:
    """tools/test.py without what makes its network fast; its config names the stock pipeline."""

    def layer_by_layer(_: FoldedNetwork, network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        return network(images)

    FoldedNetwork.__call__ = layer_by_layer
    sys.argv = ['test.py', *arguments]
    runpy.run_path(str(ROOT / 'tools/test.py'), run_name='__main__')


def rows_of(path: str, few: dict, many: dict, most_of_limit: float, most: float) -> Iterator[table.Row]:
    """Speed, memory of the whole process, and probabilities of ``path`` against stock in float32."""

    def whole(path: str) -> np.ndarray:
        return np.array([test.cpu_s for test in many[path]])

    def per_image(path: str) -> np.ndarray:
        return (whole(path) - [test.cpu_s for test in few[path]]) / (MANY - FEW)

    name = (
        'tools/test.py, bfloat16 against stock float32' if path.endswith('amp') else 'tools/test.py, float32'
    )
    peak = max(test.peak_mib for test in many[path])
    more = dict(stock_peak_mib=max(test.peak_mib for test in many['stock']))
    products = limits.BFLOAT16 if path.endswith('amp') else limits.FLOAT32
    needs = {products: gflop(build()), limits.DECODED: SHAPE[0] * SHAPE[1] / 1e6}
    per, total = (table.Pair.of(np.transpose([of('stock'), of(path)])) for of in (per_image, whole))
    yield (
        table.compared(f'{name}, per image', per, 's', peak, needs=needs, most_of_limit=most_of_limit) | more
    )
    needs = {limit: MANY * amount for limit, amount in needs.items()}
    yield table.compared(f'{name}, {MANY} images and start-up', total, 's', peak, needs=needs) | more
    probs = many[path][0].probs
    difference = float(np.abs(probs - many['stock'][0].probs).max())
    stage = f'{name}, difference of probabilities ({probs.min():.2f} to {probs.max():.2f})'
    yield table.row(stage, None, difference, '', None, most=most)


def measure() -> list[table.Row]:
    """Both ways, in turns."""
    few: dict[str, list[Test]] = {path: [] for path in PATHS}
    many: dict[str, list[Test]] = {path: [] for path in PATHS}
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(Path(folder))
        for path in PATHS * TURNS:
            few[path].append(run(path, FEW, Path(folder)))
            many[path].append(run(path, MANY, Path(folder)))
    return [*rows_of('ours', few, many, 1.25, 1e-5), *rows_of('ours amp', few, many, 1.5, 0.01)]


if __name__ == '__main__':
    if sys.argv[1:2] == ['--stock']:
        run_stock(sys.argv[2:])
    else:
        table.main(measure, __doc__)
