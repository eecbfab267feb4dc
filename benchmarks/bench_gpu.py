"""Training and test on a GPU at published sizes, bf16, from PNG file to weights: stock against ours in turns.

phantom images -> images/s, share of the time in which the GPU waits for data, peak memory of the GPU
Command: python benchmarks/bench_gpu.py --out gpu.json (--device cpu --small runs on any machine)
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch.utils.data import DataLoader, Dataset

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import dataset  # noqa: F401
import mammo.engine  # noqa: F401
import models  # noqa: F401
from benchmarks import table
from benchmarks.bench_pipeline import breasts, patches, write
from benchmarks.stock import as_stock
from mammo.engine.launch import without_sync_bn
from mammo.engine.seed import seed_worker
from mammo.records.storage.files import write_json

PRETRAIN = 'pretrain/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py'
FROZEN = 'multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'
PHASE_2 = 'multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_phase2_transformer_Aug3.py'
SMALL_PRETRAIN, SMALL = 'demo/barlowtwins_64px_patches.py', 'demo/full_breast_224x128_transformer.py'
WARM_UP, SMALL_BATCH = 2, 4  # batches before the clock starts; images per batch with --small


@dataclass(frozen=True, kw_only=True)
class Stage:
    name: str
    config: str
    small: str
    split: str = 'train'
    small_options: dict[str, Any] = field(default_factory=dict)


STAGES = (
    Stage(name='stage a, Barlow Twins', config=PRETRAIN, small=SMALL_PRETRAIN),
    Stage(
        name='stage b, frozen', config=FROZEN, small=SMALL, small_options={'model.backbone.frozen_stages': 4}
    ),
    Stage(name='stage b, unfrozen', config=PHASE_2, small=SMALL),
    Stage(name='test', config=FROZEN, small=SMALL, split='test'),
)


class Images(Dataset):
    """The same few files again and again, each time through the whole pipeline."""

    def __init__(self, steps: list[dict], paths: list[str], length: int, labels: dict[str, Any]) -> None:
        self.pipeline, self.paths, self.length, self.labels = Compose(steps), paths, length, labels

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.pipeline(dict(self.labels, img_path=self.paths[index % len(self.paths)]))


class Side:
    """One stage, stock or ours: a model, its optimizer, and its loader."""

    def __init__(
        self, cfg: Config, stage: Stage, paths: list[str], args: argparse.Namespace, *, stock: bool
    ) -> None:
        loader = cfg[f'{stage.split}_dataloader']
        steps, model = loader.dataset.pipeline, cfg.model
        if stock:
            steps, model = as_stock(steps), as_stock(model)
        self.batch_size = SMALL_BATCH if args.small else loader.batch_size
        self.training, self.device, self.batches = stage.split == 'train', args.device, args.batches
        labels = (
            {} if stage.config == PRETRAIN else dict(gt_label={task.name: 1.0 for task in cfg.model.tasks})
        )
        images = Images(steps, paths, (self.batches + WARM_UP) * self.batch_size, labels)
        self.loader = DataLoader(
            images,
            self.batch_size,
            num_workers=args.workers,
            pin_memory=args.device == 'cuda',
            collate_fn=default_collate,
            worker_init_fn=seed_worker,
        )
        torch.manual_seed(0)
        self.model = without_sync_bn(MODELS.build(model)).to(args.device).train(self.training)
        if stock and hasattr(self.model, 'maps'):
            self.model.maps = lambda images: self.model.backbone(images)  # layer by layer, as stock does
        self.optimizer = build_optim_wrapper(self.model, dict(cfg.optim_wrapper, type='OptimWrapper'))

    def step(self, batch: dict[str, Any]) -> None:
        with torch.autocast(self.device, torch.bfloat16), torch.inference_mode(not self.training):
            self.model.train_step(batch, self.optimizer) if self.training else self.model.test_step(batch)
        if self.device == 'cuda':
            torch.cuda.synchronize()  # what follows waits for data only

    def run(self) -> tuple[float, float]:
        """Images per second, and the share of the time spent on waiting for a batch."""
        batches, waited = iter(self.loader), 0.0
        for _ in range(WARM_UP):
            self.step(next(batches))
        start = time.perf_counter()
        for _ in range(self.batches):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            self.step(batch)
        seconds = time.perf_counter() - start
        return self.batches * self.batch_size / seconds, waited / seconds

    def peak_mib(self) -> float:
        if self.device != 'cuda':
            return table.peak_mib(self.run)
        torch.cuda.reset_peak_memory_stats()
        self.run()
        return torch.cuda.max_memory_allocated() / 2**20


def measure(args: argparse.Namespace | None = None) -> list[table.Row]:
    """Rows of the table, with ``wait_frac`` and ``stock_wait_frac`` beside the usual columns."""
    args = args or parse_args([])
    cv2.setNumThreads(0)  # as runs do: its threads do not survive the fork of the loaders' workers
    init_default_scope('mammo')
    MMLogger.get_instance('benchmark', log_level='WARNING')  # not a line for each parameter
    rows, shape = [], (600, 330) if args.small else (2600, 1500)
    with tempfile.TemporaryDirectory() as folder:
        images = list(breasts(shape))
        whole = write(Path(folder), iter(images))
        small = write(Path(folder), patches(cv2.resize(images[0], (1400, 2600))))
        for stage in STAGES:
            cfg = Config.fromfile(ROOT / 'configs' / (stage.small if args.small else stage.config))
            cfg.merge_from_dict(stage.small_options if args.small else {})
            paths = small if stage.config == PRETRAIN else whole
            sides = [Side(cfg, stage, paths, args, stock=stock) for stock in (True, False)]
            peaks = [side.peak_mib() for side in sides]
            runs = np.array([[side.run() for side in sides] for _ in range(args.repeats)])
            (_, stock_wait), (_, wait) = np.median(runs, axis=0).tolist()
            pair = table.Pair.of(runs[..., 0])
            pair = pair._replace(
                spread=tuple(1 / each for each in pair.spread[::-1])
            )  # rates: more is better
            line = table.compared(stage.name, pair, 'images/s', peaks[1])
            rows.append(line | dict(wait_frac=wait, stock_wait_frac=stock_wait, stock_peak_mib=peaks[0]))
            del sides
    return rows


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    parser.add_argument('--small', action='store_true', help='the networks of the demo, batches of 4')
    parser.add_argument('--batches', type=int, default=20, help='per measurement')
    parser.add_argument('--repeats', type=int, default=3, help='measurements, of which the median counts')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes that load images')
    parser.add_argument('--out', type=Path, help='write the rows to this JSON file')
    return parser.parse_args(arguments)


def main() -> None:
    args = parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('bench_gpu: this machine has no GPU; --device cpu --small shows that the script runs')
    rows = measure(args)
    if args.out:
        write_json(args.out, rows)
    print(table.as_text(rows, ('wait_frac', 'stock_wait_frac', 'stock_peak_mib')))
    print(table.notes_as_text(rows))


if __name__ == '__main__':
    main()
