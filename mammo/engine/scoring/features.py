"""Numbers that a network makes of images: raw outputs of its heads, or what the neck or backbone gives.

runner, or config and meta files -> features (n, k), names of the columns, what is known of each image
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from numpy.typing import NDArray

from mammo.engine.checks.data import items_of
from mammo.engine.checks.images import check_images
from mammo.engine.config.reading import set_options
from mammo.engine.faults import resources_explained
from mammo.engine.log import tell
from mammo.engine.run import load_config
from mammo.errors import DataError, listed
from mammo.patients import patient_features, speaking_items
from mammo.records.features import write_features


def extract(
    config: str | Path, checkpoint: str | Path, out: Path, *, stage: str = 'head', aggregate: str = 'mean',
    all_sides: bool = False, ann_file: list[str] | None = None, check_data: bool = True, amp: bool = False,
    cfg_options: list[str] | None = None, **shared: Any,
) -> None:  # fmt: skip
    """Features of the patients of all meta files -> file; patients without a usable image are logged.

    Args:
        stage: head: raw output per task; neck: what the heads read; backbone: mean over the feature map.
        aggregate: over a patient's images: mean or max.
        ann_file: meta files, relative to ``data_root``; default: the config's test file.
        cfg_options: ``key=value`` texts, which come last and win.
        **shared: see :func:`mammo.engine.run.load_config`.
    """
    cfg = load_config(config, amp=amp, check_data=check_data, **shared)
    if cfg.launcher != 'none':
        raise DataError(f'--launcher {cfg.launcher}: features are extracted by one process')
    cfg.load_from = str(checkpoint)
    set_options(cfg, cfg_options)
    with resources_explained():
        x, names, images = _of_meta_files(cfg, stage, ann_file, check_data=check_data, amp=amp)
    features = patient_features(x, images, names, aggregate, stage, all_sides=all_sides)
    kept = speaking_items(images, all_sides=all_sides)
    silent = {image['patient_id'] for image in images} - set(features.sided.index)
    if silent:
        tell(f'{len(silent)} patients have no image of the tumor side: {listed(sorted(silent))}')
    write_features(out, features, x[kept], [images[i] for i in np.flatnonzero(kept)])


@torch.inference_mode()
def image_features(runner: Runner, stage: str) -> tuple[NDArray[np.float32], list[str], list[dict]]:
    """Run the test set through the network -> (n, k), names of columns, what is known of each image."""
    model = runner.model.eval()
    batches, images = [], []
    for batch in runner.test_dataloader:
        data = model.data_preprocessor(batch)
        if stage == 'head':
            outputs = model.head(model.extract_feat(data['inputs']))
            features = torch.stack([outputs[task] for task in outputs], dim=1)  # (B, tasks)
        else:
            features = model.extract_feat(data['inputs'], stage=stage)[-1]
            features = features.mean(dim=(2, 3)) if features.ndim == 4 else features  # (B, C)
        batches.append(features.float().cpu().numpy())
        images += [sample.metainfo for sample in data['data_samples']]
    x = np.concatenate(batches)
    names = list(model.head.task_heads) if stage == 'head' else [f'{stage}_{i}' for i in range(x.shape[1])]
    return x, names, images


def _of_meta_files(
    cfg: Config, stage: str, ann_files: list[str] | None, *, check_data: bool, amp: bool
) -> tuple[NDArray[np.float32], list[str], list[dict]]:
    """See :func:`image_features`; of all images that the meta files list."""
    parts = []
    for ann_file in ann_files or [cfg.test_dataloader.dataset.ann_file]:
        cfg.test_dataloader.dataset.ann_file = ann_file
        runner = RUNNERS.build(cfg)
        if check_data:
            check_images(item['img_path'] for item in items_of(runner.test_dataloader.dataset))
        runner.load_or_resume()
        with torch.autocast(get_device(), enabled=amp):
            parts.append(image_features(runner, stage))
    images = [image for part in parts for image in part[2]]
    return np.concatenate([part[0] for part in parts]), parts[0][1], images
