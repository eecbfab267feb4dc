"""The fusion within one fold: features of its images, fused with the clinical variables.

features.npz, clinical table -> fusion/data/, fusion/<mode>_<model>/
"""

import shutil
from pathlib import Path
from typing import Any

from mammo.crossval.state import write_state
from mammo.engine.config import set_options
from mammo.engine.faults import resources_explained
from mammo.engine.features import extract
from mammo.engine.run import load_config
from mammo.fusion.build import build_from_files
from mammo.fusion.study import score, train

FUSION = [(mode, model) for model in ('mlp', 'logistic') for mode in ('clinical-mammo', 'clinical-only')]


def extract_features(
    spec: dict[str, Any],
    config: str,
    checkpoint: Path,
    out: Path,
    metas: list[str],
    data_root: str | None = None,
) -> None:
    """Raw outputs per patient of all that the meta files list, unless they are there."""
    if out.is_file():
        return
    write_state(out.parent, 'features')
    cfg = load_config(config, work_dir=out.parent / 'test', amp=spec['amp'], check_data=False)
    cfg.load_from = str(checkpoint)
    options = [f'test_dataloader.dataset.data_root={data_root}'] if data_root else []
    set_options(cfg, [f'experiment_name=extract_features_{spec["name"].replace("/", "_")}', *options])
    with resources_explained():
        extract(cfg, out, ann_files=metas, check_data=False, amp=spec['amp'])


def fuse(spec: dict[str, Any], folder: Path) -> None:
    """Encoders are fitted on train, models are stopped by val, test and external sets are only scored."""
    write_state(folder, 'fusion')
    data, fusion = folder / 'fusion' / 'data', spec['fusion']
    clinical, label = Path(fusion['clinical']), fusion['label']
    if not (data / 'schema.json').is_file():
        inputs = folder / 'features.npz', Path(spec['metas'])
        build_from_files(clinical, *inputs, label, data, schema=Path(fusion['schema']))
    external = {name: site for name, site in spec['external'].items() if site['fusion']}
    for name, site in external.items():
        splits = folder / 'fusion' / f'meta_{name}'
        splits.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site['meta'], splits / 'test.json')
        inputs, target = (folder / f'features_external_{name}.npz', splits), folder / 'fusion' / name
        build_from_files(clinical, *inputs, label, target, fitted=data / 'schema.json')
    for mode, model in FUSION:
        out = folder / 'fusion' / f'{mode}_{model}'
        if not (out / 'checkpoint.pth').is_file():
            train(data, out, mode, model=model)
        for name in external:
            target = out / f'external_{name}'
            score(folder / 'fusion' / name, target, mode, out / 'checkpoint.pth', 'test')
