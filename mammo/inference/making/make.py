"""A bundle from trained models, made whole and tried out, or not at all.

cross-validation, or config and checkpoint (with fusion and report) -> BUNDLE, lines about it
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mammo.inference.bundle import BundleError, write_bundle
from mammo.inference.making.files import bundle_files
from mammo.inference.making.sources import Trained, from_checkpoint, from_cross_validation
from mammo.inference.predictor import FUSED, IMAGES, Predictor
from mammo.records.files import read_record


def make_bundle(out: Path, preprocess: Path | None, **source: Any) -> Iterator[str]:
    """Write the folder ``out``, load it once, tell what it holds.

    Args:
        preprocess: preprocess.json of the images; that in the data's folder by default.
        **source: of :func:`collect`.

    Raises:
        UserError: a source cannot be used, or the bundle would not load.
    """
    trained, data_root = collect(**source)
    path = preprocess or data_root / 'preprocess.json'
    settings = read_record(path)['settings'] if preprocess or path.is_file() else None
    write_bundle(out, bundle_files(trained, settings))
    try:
        predictor = Predictor.load(out, 'cpu')
    except BundleError:
        shutil.rmtree(out)
        raise
    n_bytes = sum(path.stat().st_size for path in out.rglob('*') if path.is_file())
    n, distinct = len(predictor.members), predictor.network.ensemble.num_backbones
    yield f'{out}: {n} models, {distinct} backbones, {n_bytes / 2**20:.1f} MiB, id {predictor.bundle_id}'
    if settings is None:
        yield 'no preprocess.json: images of an exam must be PNG made as those of the training'


def collect(
    cv: Path | None,
    config: Path | None,
    checkpoint: Path | None,
    fusion: Path | None,
    fusion_model: str,
    report: Path | None,
    report_names: Sequence[str],
) -> tuple[Trained, Path]:
    """The models, and the folder of their data."""
    if cv:
        default = cv / 'report' / 'report.json'
        path = report or (default if default.is_file() else None)
        trained = from_cross_validation(cv, fusion_model, read_record(path) if path else {})
        settings = read_record(cv / 'cross_validate.json')['settings']
        return trained, Path(settings['config']['test_dataloader']['dataset']['data_root'])
    assert config
    assert checkpoint
    cfg = Config.fromfile(str(config))
    names = dict(zip((IMAGES, FUSED), report_names, strict=True))
    trained = from_checkpoint(cfg, checkpoint, fusion, read_record(report) if report else {}, names)
    return trained, Path(cfg.test_dataloader.dataset.data_root)
