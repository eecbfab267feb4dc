"""Does pretraining on mini-MIAS learn tissue? Tissue class by nearest neighbours, against random weights.

held-out women's films, a work dir per method -> table: balanced accuracy with interval, and difference

    python tools/dataset_converters/mias.py --src MINI_MIAS --out-dir data/mini_mias --seed 0
    python benchmarks/studies/mini_mias_pretraining.py --split data/mini_mias
    python tools/extract_patches.py data/mini_mias/train.json --out-dir data/mini_mias/patches \
        --size 400 --stride 128 --max-per-image 8 --exclude data/mini_mias/held_out.json
    for method in barlowtwins_64px_patches byol_64px_patches swav_64px_32px_patches \
        barlowtwins_64px_patches_crops_only; do
        python tools/train.py configs/mini_mias/$method.py; done
    python benchmarks/studies/mini_mias_pretraining.py --work-dirs work_dirs/*px_patches*
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import find_latest_checkpoint
from mmpretrain.registry import DATASETS, MODELS
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

import dataset  # noqa: F401  registers
import models  # noqa: F401  registers
from mammo.engine.launch import adapt_to_cpu
from mammo.engine.loading.checkpoint import load_from_file
from mammo.engine.monitor.embed import embed
from mammo.engine.monitor.representation import effective_rank, knn_predict
from mammo.evaluation.resampling import percentile_interval
from mammo.records.meta import read_meta, write_meta

N_BOOTSTRAP = 2000


def write_held_out(folder: Path) -> None:
    """Validation and test women of tools/dataset_converters/mias.py in one meta file."""
    parts = [read_meta(folder / f'{split}.json') for split in ('val', 'test')]
    write_meta(
        folder / 'held_out.json', [i for p in parts for i in p['data_list']], parts[0]['metainfo']['tasks']
    )


def judge(cfg: Config, weights: Path | None) -> tuple[float, NDArray, NDArray, NDArray]:
    """Rank of the backbone's embedding, and per film the predicted and true class and the woman."""
    torch.manual_seed(0)
    adapt_to_cpu(cfg)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if weights:
        model.load_state_dict(load_from_file(str(weights))['state_dict'])
    films = DATASETS.build(cfg.default_hooks.learning_monitor.dataset)
    x = embed(model, films, batch_size=32)['backbone']
    infos = [films.get_data_info(i) for i in range(len(films))]
    tissue, women = (np.array([info[name] for info in infos]) for name in ('tissue', 'patient_id'))
    return effective_rank(x), knn_predict(x, tissue, women), tissue, women


def intervals(predicted: list[NDArray], truth: NDArray, women: NDArray) -> list[tuple[float, float, float]]:
    """Balanced accuracy of each prediction, and the gain of the second; women are resampled."""
    rng = np.random.default_rng(0)
    names, of_film = np.unique(women, return_inverse=True)
    films = [np.flatnonzero(of_film == i) for i in range(len(names))]

    def score(rows: NDArray) -> list[float]:
        found = [balanced_accuracy_score(truth[rows], p[rows]) for p in predicted]
        return [*found, found[1] - found[0]]

    draws = [
        score(np.concatenate([films[i] for i in rng.integers(len(films), size=len(films))]))
        for _ in range(N_BOOTSTRAP)
    ]
    limits = [percentile_interval(np.array(column)) for column in zip(*draws, strict=True)]
    return [(value, *limit) for value, limit in zip(score(np.arange(len(truth))), limits, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--split', type=Path, help='folder of val.json and test.json: write held_out.json')
    parser.add_argument('--work-dirs', type=Path, nargs='+', default=[], help='of the pretraining runs')
    args = parser.parse_args()
    if args.split:
        write_held_out(args.split)
    init_default_scope('mammo')
    for work_dir in args.work_dirs:
        cfg = Config.fromfile(next(work_dir.glob('*.py')))
        checkpoint = find_latest_checkpoint(str(work_dir))
        (rank0, random, truth, women), (rank, learned, _, _) = judge(cfg, None), judge(cfg, Path(checkpoint))
        before, after, gain = intervals([random, learned], truth, women)
        for name, (value, low, high) in dict(random=before, learned=after, gain=gain).items():
            print(f'{work_dir.name:<40} {name:<8} {value:6.3f} ({low:.3f} to {high:.3f})')
        print(
            f'{work_dir.name:<40} rank     {rank0:.1f} -> {rank:.1f}; {len(truth)} films of {len(set(women))}'
        )


if __name__ == '__main__':
    main()
