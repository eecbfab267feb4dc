"""Backbones at full-breast size: parameters, FLOPs, seconds and memory per image.

configs/backbones -> a table in Markdown on standard output

Run on an idle machine: python benchmarks/backbones.py [--threads 2] [--runs 3]
Each network runs in a process of its own, so that its memory is its own; random weights, whose values do
not change the times. Seconds are the median of the runs, on the clock; beside them the CPU seconds of all
threads together, which other jobs on the machine hardly change. A multiplication and its sum count as two
FLOPs.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ROOT = Path(__file__).resolve().parents[1]
HEADER = (
    '| config | parameters, M (neck) | GFLOPs | s | CPU s | GiB | tokens |\n|---|---|---|---|---|---|---|'
)


def measure(name: str, threads: int, runs: int) -> str:
    """One row of the table: eval mode, one image of 1792 x 1024, batch of one."""
    import torch
    from mmengine.config import Config
    from mmpretrain.registry import MODELS
    from torch.utils.flop_counter import FlopCounterMode

    import models  # noqa: F401  (registers names)

    torch.set_num_threads(threads)
    cfg = Config.fromfile(ROOT / f'configs/backbones/{name}.py')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    image = torch.randn(1, 1, *cfg.model.image_size).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        model.extract_feat(image[..., :224, :224])  # folds
        before_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        passes = []
        for _ in range(runs):
            start = time.perf_counter(), time.process_time()
            model.extract_feat(image)
            passes.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        seconds, cpu_seconds = map(median, zip(*passes, strict=True))
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.to('meta').neck(model.backbone(torch.zeros(1, 3, *cfg.model.image_size, device='meta')))
    n_all, n_neck = (sum(p.numel() for p in m.parameters()) / 1e6 for m in (model, model.neck))
    grid = getattr(model.neck, 'grid', None)
    tokens = f'{grid[0]} x {grid[1]}' if grid else ''
    flops = counter.get_total_flops() / 1e9
    times = f'{seconds:.2f} | {cpu_seconds:.2f}'
    memory = f'{peak_gib - before_gib:.1f}'
    return f'| {name} | {n_all:.1f} ({n_neck:.1f}) | {flops:.0f} | {times} | {memory} | {tokens} |'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--only', help='one config, without .py; default: all')
    args = parser.parse_args()
    if args.only:
        print(measure(args.only, args.threads, args.runs))
        return
    print(HEADER)
    files = (ROOT / 'configs/backbones').glob('*.py')
    for path in sorted(files, key=lambda path: (not path.stem.endswith('transformer'), path.stem)):
        command = [sys.executable, __file__, '--only', path.stem, '--threads', str(args.threads)]
        done = subprocess.run([*command, '--runs', str(args.runs)], capture_output=True, text=True)
        print(done.stdout.strip().splitlines()[-1] if done.returncode == 0 else f'| {path.stem} | failed |')
        sys.stdout.flush()


if __name__ == '__main__':
    main()
