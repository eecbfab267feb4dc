"""25 models with one frozen backbone, published size: one pass for all against 25 separate passes.

one image 1792x1024 -> CPU seconds; separate passes are extrapolated from 2 (25 / 2 times their median sum)
Command: OMP_NUM_THREADS=1 python benchmarks/bench_ensemble.py
Both sides run the folded backbone: the ratio is that of sharing alone.
"""

import copy
import sys
from pathlib import Path

import torch
from mmpretrain.structures import MultiTaskDataSample

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import limits, table
from benchmarks.bench_model import SIZE, build, gflop
from models.ensemble import Ensemble

MEMBERS, SEPARATE = 25, 2


def measure() -> list[table.Row]:
    """Members differ in their necks; predictions are checked against separate passes to 1e-6."""
    ensemble = Ensemble()
    model = build()
    for _ in range(MEMBERS):
        with torch.no_grad():
            model.neck.fc.weight.normal_(0, 0.1)
        ensemble.add(model)
    assert ensemble.num_backbones == 1
    images = torch.randn(1, 1, *SIZE).expand(-1, 3, -1, -1)
    samples = [MultiTaskDataSample()]

    @torch.inference_mode()
    def separate() -> list:
        return [m(images, copy.deepcopy(samples), mode='predict') for m in ensemble.members[:SEPARATE]]

    def together() -> list:
        return ensemble.predict(images, samples)

    peak = table.peak_mib(together)
    for alone, shared in zip(separate(), together(), strict=False):
        assert abs(alone[0].N.logit - shared[0].N.logit) < 1e-6
    pair = table.interleaved(separate, together, repeats=3).times(MEMBERS / SEPARATE, 1)
    stage = f'{MEMBERS} members, 1792x1024'
    return [table.compared(stage, pair, 's', peak, needs={limits.FLOAT32: gflop(model)})]


if __name__ == '__main__':
    table.main(measure, __doc__)
