"""Several checkpoints of one config on one test set; equal, frozen backbones run once for all of them.

config, checkpoints, meta file -> DIR/member_00.json ... (predictions of each) and DIR/mean.json
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from tqdm import tqdm

from mammo.engine.checks.data import items_of
from mammo.engine.checks.images import check_images
from mammo.engine.config.reading import set_options
from mammo.engine.faults import resources_explained
from mammo.engine.log import tell
from mammo.engine.run import load_config
from mammo.engine.scoring.writer import prediction_record
from mammo.errors import DataError
from mammo.evaluation.cohort.ensemble import mean_records
from mammo.records.predictions import write_predictions
from models.ensemble import Ensemble


def score_together(
    config: str | Path,
    checkpoints: Sequence[str | Path],
    *,
    out_dir: str | Path,
    meta: str | Path | None = None,
    data_root: str | Path | None = None,
    check_data: bool = True,
    amp: bool = False,
    cfg_options: list[str] | None = None,
    **shared: Any,
) -> list[Path]:
    """Test all checkpoints, write their predictions and the mean of them.

    Args:
        config: config file.
        checkpoints: one per member, of models of this config.
        out_dir: folder for the predictions.
        meta: meta file; default: the config's test file.
        data_root: folder of the images; default: the config's.
        check_data: decode every image first.
        amp: mixed precision.
        cfg_options: ``key=value`` texts, which come last and win.
        **shared: see :func:`mammo.engine.run.load_config`.

    Returns:
        The prediction file of each member.

    Raises:
        UserError: config, data or a checkpoint cannot be used.
    """
    cfg = load_config(config, amp=amp, check_data=check_data, **shared)
    if cfg.launcher != 'none':
        raise DataError(f'--launcher {cfg.launcher}: an ensemble is tested by one process')
    replaced = dict(data_root=data_root, ann_file=meta)
    cfg.test_dataloader.dataset.update({key: str(value) for key, value in replaced.items() if value})
    set_options(cfg, cfg_options)
    with resources_explained():
        runner = RUNNERS.build(cfg)
        if check_data:
            check_images(item['img_path'] for item in items_of(runner.test_dataloader.dataset))
        ensemble = _load_members(runner, checkpoints)
        records = _member_records(runner, ensemble, amp=amp)
    width = max(2, len(str(len(records) - 1)))
    files = [Path(out_dir, f'member_{i:0{width}d}.json') for i in range(len(records))]
    for path, of_member in zip(files, records, strict=True):
        write_predictions(path, of_member)
    kinds = {task: head.kind for task, head in runner.model.head.task_heads.items()}
    write_predictions(Path(out_dir, 'mean.json'), mean_records(records, kinds))
    return files


def _load_members(runner: Runner, checkpoints: Sequence[str | Path]) -> Ensemble:
    ensemble = Ensemble()
    for checkpoint in checkpoints:
        runner.load_checkpoint(str(checkpoint))
        ensemble.add(runner.model)
    n, distinct = len(checkpoints), ensemble.num_backbones
    passes = 'runs once for all' if distinct == 1 else f'differs: {distinct} passes per image'
    tell(f'{n} members, their backbone {passes}')
    return ensemble


def _member_records(runner: Runner, ensemble: Ensemble, *, amp: bool) -> list[list[dict]]:
    """Prediction records of each member over the test set."""
    records: list[list[dict]] = [[] for _ in ensemble.members]
    batches = runner.test_dataloader
    for batch in tqdm(batches, 'batches', disable=len(batches) < 10):
        data = runner.model.data_preprocessor(batch)
        with torch.autocast(get_device(), enabled=amp):
            predicted = ensemble.predict(data['inputs'], data['data_samples'])
        for of_member, samples in zip(records, predicted, strict=True):
            of_member += [prediction_record(sample.to_dict()) for sample in samples]
    return records
