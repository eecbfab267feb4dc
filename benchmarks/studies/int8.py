"""Would a backbone in int8 pay? CPU seconds beside float32 and bfloat16, and what it does to the scores.

a finished cross-validation -> seconds of the published backbone; AUC and rank correlation of the scores

    python benchmarks/studies/int8.py --cv demo/cross_validation --folds demo/folds \
        --data-root demo/phantom

Post-training static quantisation of torch.ao (FX graphs, x86 engine), calibrated on images of the training
part. One thread; runs in turns, medians. torch has announced that it will delete torch.ao.quantization.
"""

import argparse
import copy
import itertools
import math
import statistics
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pandas as pd
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from torch.fx.experimental.optimization import fuse

import mammo.engine  # noqa: F401  registers
from mammo.crossval.settings import CONFIG
from mammo.engine.config.complete import complete
from mammo.engine.launch import adapt_to_cpu
from mammo.engine.scoring.metrics import task_result
from models import ResNetWs
from models.registry import MODELS

N_CALIBRATION, N_RUNS = 64, 5  # images; runs in turns after one that does not count


def quantised(backbone: nn.Module, images: list[torch.Tensor]) -> nn.Module:
    """The backbone in int8, with the ranges that activations have on ``images``, each (1, 3, H, W)."""
    torch.backends.quantized.engine = 'x86'
    graph = prepare_fx(copy.deepcopy(backbone).eval(), get_default_qconfig_mapping('x86'), (images[0],))
    with torch.inference_mode():
        for image in images:
            graph(image)
    return convert_fx(graph)


def seconds(size: tuple[int, int]) -> list[dict]:
    """CPU seconds of the published backbone on one image of ``size`` (H, W)."""
    backbone = ResNetWs(depth=50, num_stages=4, out_indices=(3,), expansion=2).eval()
    image = torch.randn(1, 3, *size).contiguous(memory_format=torch.channels_last)
    float32 = fuse(copy.deepcopy(backbone)).to(memory_format=torch.channels_last)
    forms = dict(
        float32=(float32, image), bfloat16=(copy.deepcopy(float32).bfloat16(), image.bfloat16()),
        int8=(quantised(backbone, [torch.randn(1, 3, 448, 256) for _ in range(3)]), image),
    )  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in forms}
    with torch.inference_mode():
        for run in range(N_RUNS + 1):
            for name, (network, inputs) in forms.items():
                start = time.process_time()
                network(inputs)
                times[name] += [time.process_time() - start] if run else []
    medians = {name: statistics.median(values) for name, values in times.items()}
    return [
        dict(form=name, median_s=f'{medians[name]:.2f}', spread_s=f'{min(values):.2f} to {max(values):.2f}',
             of_bfloat16=f'{medians["bfloat16"] / medians[name]:.2f}')
        for name, values in times.items()
    ]  # fmt: skip


def scores(cv: Path, folds: Path, data_root: Path, fold: str) -> list[dict]:
    """AUC of each binary task over test images in float32 and in int8, and their rank correlation."""
    cfg = Config.fromfile(cv / CONFIG)
    init_default_scope('mammo')
    for part in ('train', 'test'):
        cfg[f'{part}_dataloader'].dataset.update(
            ann_file=str((folds / fold / f'{part}.json').resolve()), data_root=str(data_root.resolve())
        )
    cfg.train_dataloader.dataset.pipeline = cfg.test_dataloader.dataset.pipeline
    complete(cfg)
    adapt_to_cpu(cfg)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    best = next((cv / fold / 'checkpoints').glob('best_*.pth'))
    model.load_state_dict(torch.load(best, map_location='cpu', weights_only=True)['state_dict'])
    batches = (
        model.data_preprocessor(batch)['inputs'] for batch in Runner.build_dataloader(cfg.train_dataloader)
    )
    images = [
        image[None] for image in itertools.islice(itertools.chain.from_iterable(batches), N_CALIBRATION)
    ]
    other = copy.deepcopy(model)
    other.backbone = quantised(model.backbone, images)
    exact, rough = [], []
    with torch.inference_mode():
        for batch in Runner.build_dataloader(cfg.test_dataloader):
            exact += model.test_step(copy.deepcopy(batch))
            rough += other.test_step(batch)
    rows = []
    for task in (task.name for task in cfg.model.tasks if task.kind == 'binary'):
        plain, coarse = (
            [task_result(sample.get(task).to_dict()) for sample in side] for side in (exact, rough)
        )
        known = [i for i, result in enumerate(plain) if not math.isnan(result.label)]
        truth = [plain[i].label for i in known]
        a, b = ([side[i].logit for i in known] for side in (plain, coarse))
        aucs = [roc_auc_score(truth, values) for values in (a, b)]
        rows.append(
            dict(task=task, images=len(known), float32=f'{aucs[0]:.4f}', int8=f'{aucs[1]:.4f}',
                 difference=f'{aucs[1] - aucs[0]:+.4f}', rank_correlation=f'{spearmanr(a, b).statistic:.5f}')
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--cv', type=Path, required=True, help='folder of tools/cross_validate.py')
    parser.add_argument('--folds', type=Path, required=True, help='of tools/split.py')
    parser.add_argument('--data-root', type=Path, required=True, help='folder of the images')
    parser.add_argument('--fold', default='0/0', help='whose model, training and test part')
    parser.add_argument('--size', type=int, nargs=2, default=(1792, 1024), metavar=('H', 'W'))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings('ignore', category=UserWarning)
    for rows in (seconds(tuple(args.size)), scores(args.cv, args.folds, args.data_root, args.fold)):
        print(pd.DataFrame(rows).to_string(index=False))


if __name__ == '__main__':
    main()
