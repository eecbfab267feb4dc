"""Where the signal of a map lies: means of its cells within the breast, at its edge, and outside.

maps of benchmarks/studies/rsna.py, crops of the breasts -> WORK/areas.npz; AUC of each mean
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.studies.rsna_breasts import Aucs, Study, linear
from dataset.cache.maps import FeatureCache
from mammo.preprocess.picture.breast import NoBreastError, breast_mask
from mammo.records.storage.png import read_grey, to_uint8

INPUT_PX = 512
AREAS = ('all', 'breast', 'inner breast', 'edge', 'background')


def area_table(study: Study, task: str) -> str:
    """AUC of the logistic regression on the mean over each area."""
    means = area_means(study)
    scores = {
        area: study.cross_fitted(study.by_breast(values), task, linear(0.01))
        for area, values in means.items()
    }
    aucs = Aucs(study, scores, task)
    rows = [
        f'| {area} | {aucs.auc(area)} | {aucs.difference(area, "all") if area != "all" else ""} |'
        for area in scores
    ]
    return '\n'.join([f'{task}, mean over | AUC | against all |', '|---|---|---|', *rows])


def area_means(study: Study) -> dict[str, NDArray[np.float32]]:
    """Mean of the plain map of every image over each area; (n_images, C)."""
    file = study.work / 'areas.npz'
    if not file.is_file():
        cache = FeatureCache(study.work / 'maps')
        means: dict[str, list[NDArray]] = {area: [] for area in AREAS}
        for name in tqdm(study.images.img_path, 'areas'):
            cells = cache.read('plain', name, 0)  # (C, h, w)
            for area, weights in areas(study.work / 'study' / name, cells.shape[1]).items():
                means[area].append((cells * weights).sum(axis=(1, 2)) / max(weights.sum(), 1e-6))
        np.savez(file, **{area: np.array(values, np.float32) for area, values in means.items()})
    with np.load(file) as stored:
        return {area: stored[area] for area in AREAS}


def areas(image: Path, n_cells: int) -> dict[str, NDArray[np.float32]]:
    """Weight of each cell (h, w) in an area: 1 within, 0 without; an edge has some of the breast, not all."""
    grey, bits = read_grey(image)
    try:
        mask = breast_mask(to_uint8(grey, bits=bits)).astype(np.uint8)
    except NoBreastError:
        mask = np.ones(grey.shape, np.uint8)
    seen = cv2.resize(mask, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    share = cv2.resize(seen, (n_cells, n_cells), interpolation=cv2.INTER_AREA)
    # two cells from any background: what lies beside the skin is read from further cells as well
    inner = cv2.erode((share == 1).astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1)
    return {
        'all': np.ones_like(share),
        'breast': (share == 1).astype(np.float32),
        'inner breast': inner.astype(np.float32),
        'edge': ((share > 0) & (share < 1)).astype(np.float32),
        'background': (share == 0).astype(np.float32),
    }
