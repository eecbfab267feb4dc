"""A bundle from trained models: collect, write, and load it once to see that it answers.

cross-validation, or config and checkpoint (with fusion and report) -> BUNDLE, and a line about it
"""

import shutil
from pathlib import Path
from typing import Any

from mammo.engine.config.reading import read_config
from mammo.engine.loading.checkpoint import trust_checkpoints
from mammo.errors import UserError
from mammo.inference.bundle.decisions import FUSED, IMAGES
from mammo.inference.bundle.folder import write_bundle
from mammo.inference.making.files import bundle_files
from mammo.inference.making.sources import Trained, from_checkpoint, from_cross_validation
from mammo.inference.predictor import Predictor
from mammo.records.storage.files import read_record


def make_bundle(
    out: Path, *, cv: Path | None, config: Path | None, checkpoint: Path | None, fusion: Path | None,
    fusion_model: str, report: Path | None, report_names: list[str], preprocess: Path | None,
    sensitivity: float | None, confidence: float | None, trust_checkpoint: bool = False,
) -> list[str]:  # fmt: skip
    """See the options of tools/make_bundle.py -> lines about what was made.

    Raises:
        UserError: a file is damaged, or the models cannot be bundled; nothing is left then.
    """
    if trust_checkpoint:
        trust_checkpoints()
    if cv:
        default = cv / 'report' / 'report.json'
        report = report or (default if default.is_file() else None)
        record = read_record(report) if report else {}
        promise = dict(sensitivity=sensitivity, confidence=confidence)
        trained = from_cross_validation(cv, fusion_model, record, **promise)
        settings = read_record(cv / 'cross_validate.json')['settings']
        data_root = settings['config']['test_dataloader']['dataset']['data_root']
    else:
        assert config
        assert checkpoint
        cfg = read_config(config)
        names = dict(zip((IMAGES, FUSED), report_names, strict=True))
        trained = from_checkpoint(cfg, checkpoint, fusion, read_record(report) if report else {}, names)
        data_root = cfg.test_dataloader.dataset.data_root
    return _write(out, trained, _preprocess_settings(preprocess, data_root))


def _preprocess_settings(path: Path | None, data_root: str) -> dict[str, Any] | None:
    """How the training images were made, if that is recorded."""
    beside = Path(data_root) / 'preprocess.json'
    return read_record(path or beside)['settings'] if path or beside.is_file() else None


def _write(out: Path, trained: Trained, preprocess: dict[str, Any] | None) -> list[str]:
    write_bundle(out, bundle_files(trained, preprocess))
    try:
        predictor = Predictor.load(out, 'cpu')
    except UserError:
        shutil.rmtree(out)
        raise
    n_bytes = sum(path.stat().st_size for path in out.rglob('*') if path.is_file())
    n, distinct = len(predictor.members), predictor.network.ensemble.num_backbones
    size = f'{n_bytes / 2**20:.1f} MiB'
    lines = [f'{out}: {n} models, {distinct} backbones, {size}, id {predictor.bundle_id}']
    if preprocess is None:
        lines.append('no preprocess.json: images of an exam must be PNG made as those of the training')
    return lines
