"""The network at test time, published size: stock NCHW path against the folded one, in one run.

random images 1792x1024 through preprocessor, backbone, neck and heads -> seconds per image, ratio
Command: OMP_NUM_THREADS=1 python benchmarks/bench_model.py
Each path runs in a process of its own, since ours keeps freed memory; they take turns. CPU seconds count,
so that a busy machine disturbs little. Batch norms have random statistics.
"""

import copy
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import models  # noqa: F401
from benchmarks import limits, table
from benchmarks.stock import as_stock

CONFIG = 'fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'
SIZE = (1792, 1024)
TURNS = 3


def build(config: dict | None = None) -> nn.Module:
    """The published network with random weights and statistics."""
    init_default_scope('mammo')
    model_cfg = Config.fromfile(ROOT / 'configs/multi_task_SL' / CONFIG).model
    model_cfg.backbone.init_cfg = None
    model_cfg.update(config or {})
    torch.manual_seed(0)
    model = MODELS.build(model_cfg)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.3, 0.8)
    return model.eval()


def gflop(model: nn.Module, *, backbone: bool = True) -> float:
    """10^9 floating-point operations of one image's forward pass, or of the neck and heads alone."""
    found = copy.deepcopy(model).to('meta')
    with torch.device('meta'), torch.no_grad():
        images = torch.zeros(1, 3, *SIZE)
        maps = found.backbone(images)
        with FlopCounterMode(display=False) as counter:
            found.neck(found.backbone(images) if backbone else maps)
    return counter.get_total_flops() / 1e9


@torch.no_grad()
def probs(path: str) -> tuple[Tensor, float, float]:
    """Probabilities (tasks,) of one image by ``stock`` or ``ours``, CPU seconds, MiB."""
    ours, amp = path.startswith('ours'), path.endswith('amp')
    model = build()
    grey = torch.randint(0, 256, (1, 1, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    if not ours:
        model.data_preprocessor = MODELS.build(
            as_stock(dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3))
        )
        model.folded = lambda network, images: network(images)  # the stock forward

    def run() -> Tensor:
        batch = model.data_preprocessor(dict(inputs=grey if ours else grey.repeat(1, 3, 1, 1)))
        with torch.autocast('cpu', torch.bfloat16, enabled=amp):
            logits = model(batch['inputs'])
        return logits.float().sigmoid()[0]

    peak = table.peak_mib(run)  # the first pass, folding included
    result = run()  # also warms up
    start = time.process_time()
    run()
    return result, time.process_time() - start, peak


def measure() -> list[table.Row]:
    """fp32 and bfloat16 against the stock path in fp32, with the largest difference of probabilities."""
    found: dict[str, list[dict]] = {}
    for path in ('stock', 'ours', 'ours amp') * TURNS:
        command = [sys.executable, __file__, '--path', path]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.setdefault(path, []).append(json.loads(out.splitlines()[-1]))
    seconds = {path: [run['seconds'] for run in runs] for path, runs in found.items()}
    work, rows = gflop(build()), []
    for path, name, limit in (
        ('ours', 'test, fp32', limits.FLOAT32),
        ('ours amp', 'test, bfloat16 against stock fp32', limits.BFLOAT16),
    ):
        pair = table.Pair.of(np.transpose([seconds['stock'], seconds[path]]))
        difference = np.abs(np.subtract(found[path][0]['probs'], found['stock'][0]['probs'])).max()
        stage = f'{name}, 1792x1024 (probs differ by {difference:.1e})'
        rows.append(table.compared(stage, pair, 's', found[path][0]['peak_mib'], needs={limit: work}))
    return rows


if __name__ == '__main__':
    if '--path' in sys.argv:
        torch.set_num_threads(1)
        values, cpu_s, mib = probs(sys.argv[-1])
        print(json.dumps(dict(probs=values.tolist(), seconds=cpu_s, peak_mib=mib)))
    else:
        table.main(measure, __doc__)
