"""The work of one fold, in a process of its own: train, choose, test.

spec (see plan.py) -> checkpoints/, predictions_*.json, and fold.json last
"""

import gc
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from mmengine.registry import FUNCTIONS

from mammo.crossval.folds import PARTS
from mammo.crossval.jobs.state import CACHE, FINISHED, LOCK, finished, read_json, write_state
from mammo.engine import run
from mammo.engine.config.reading import read_config
from mammo.engine.loading.checkpoint import load_from_file, weights_sha256
from mammo.engine.scoring.ensemble import score_together
from mammo.errors import DataError
from mammo.records.meta import read_meta, write_meta
from mammo.records.storage.files import sha256_of, write_json, write_text


def run_steps(spec: dict[str, Any]) -> None:
    """Do what is not yet done; a step whose last file is there is done.

    Waits until no other process works on this fold; the system frees the lock of one that was killed.
    """
    folder = Path(spec['folder'])
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK, poll_interval=0.2):
        if finished(spec):
            return
        if spec['name'] == CACHE:
            _cache(spec, folder)
        elif 'checkpoints' in spec:
            _score_together(spec, folder)
        else:
            _run_fold(spec, folder)


def _run_fold(spec: dict[str, Any], folder: Path) -> None:
    images, maps = spec['config'], _maps_config(spec, folder)
    trained = _train(spec, maps, folder)
    checkpoint = folder / trained['checkpoint']
    parts = {part: f'{spec["metas"]}/{part}.json' for part in PARTS}
    for part in ('val', 'test'):
        _score(spec, maps, checkpoint, folder / f'predictions_{part}.json', parts[part])
    for name, site in spec['external'].items():
        if not site['together']:
            out = folder / f'predictions_external_{name}.json'
            _score(spec, images, checkpoint, out, site['meta'], site['data_root'])
    write_json(folder / FINISHED, trained | dict(done=spec['wanted']))


def best_checkpoint(work_dir: Path) -> Path:
    """The checkpoint that validation chose; if a kill left several, the one that the last one names.

    Raises:
        DataError: there is none.
    """
    paths = sorted(work_dir.glob('best_*.pth'))
    if len(paths) > 1:
        last = (work_dir / 'last_checkpoint').read_text().strip()
        named = load_from_file(last)['message_hub']['runtime_info'].get('best_ckpt')
        paths = [path for path in paths if named and path.name == Path(named).name] or paths[-1:]
    if not paths:
        raise DataError(f'{work_dir}: no best_*.pth; the config needs validation and save_best')
    return paths[0]


def _cache(spec: dict[str, Any], folder: Path) -> None:
    """Maps of the frozen backbone for all images of the folds, in any part of which they may be."""
    write_state(folder, 'maps')
    metas = [read_meta(path) for path in sorted(Path(spec['metas']).glob('*/*/*.json')) if path.stem in PARTS]
    items = {item['img_path']: item | dict(gt_label={}) for meta in metas for item in meta['data_list']}
    tasks = dict.fromkeys(task for meta in metas for task in meta['metainfo']['tasks'])
    images = folder / 'images.json'
    write_meta(images, list(items.values()), list(tasks))
    read_config(spec['config'])  # imports what registers the next line's
    make_cache = FUNCTIONS.get('make_cache')
    options = dict(work_dir=folder, **shared(spec, 'cache_features'))
    make_cache(spec['config'], folder, views=spec['views'], ann_file=[str(images)], **options)
    write_json(folder / FINISHED, dict(done=[], views=spec['views'], images=len(items)))


def _maps_config(spec: dict[str, Any], folder: Path) -> str:
    """Config of a fold that trains and tests on the maps of DIR/cache, if there are to be any."""
    if not spec['maps']:
        return str(spec['config'])
    cfg, path = read_config(spec['config']), folder / 'config_maps.py'
    for part in PARTS:
        cfg[f'{part}_dataloader'].dataset.ann_file = f'{spec["metas"]}/{part}.json'
    write_text(path, FUNCTIONS.get('cached_config')(cfg, spec['maps']).pretty_text)
    return str(path)


def _train(spec: dict[str, Any], config: str, folder: Path) -> dict[str, Any]:
    """Train, or go on training -> what is known of the best checkpoint."""
    done = folder / 'trained.json'
    if not done.is_file():
        write_state(folder, 'train')
        files = [f'{part}_dataloader.dataset.ann_file={spec["metas"]}/{part}.json' for part in PARTS]
        run.train(config, work_dir=folder / 'checkpoints', resume='auto', **shared(spec, 'train', *files))
        best = best_checkpoint(folder / 'checkpoints')
        name, backbone = str(best.relative_to(folder)), _backbone_sha256(best)
        write_json(done, dict(checkpoint=name, sha256=sha256_of(best), backbone_sha256=backbone))
        gc.collect()  # the training's model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return read_json(done)


def _backbone_sha256(checkpoint: Path) -> str:
    state = load_from_file(str(checkpoint))['state_dict']
    return weights_sha256({name: value for name, value in state.items() if name.startswith('backbone.')})


def _score(
    spec: dict[str, Any], config: str, checkpoint: Path, out: Path, meta: str, data_root: str | None = None
) -> None:
    if not out.is_file():
        write_state(out.parent, 'test')
        data = [f'test_dataloader.dataset.ann_file={meta}', *root_option(data_root)]
        run.score(config, checkpoint, work_dir=out.parent / 'test', out=out, **shared(spec, 'test', *data))


def _score_together(spec: dict[str, Any], folder: Path) -> None:
    """All models on an external set in one go: a backbone that they share sees each image once."""
    write_state(folder, 'test')
    site = spec['site']
    members = score_together(
        spec['config'], list(spec['checkpoints'].values()), meta=site['meta'], data_root=site['data_root'],
        out_dir=folder, work_dir=folder, **shared(spec, 'test_ensemble'),
    )  # fmt: skip
    for target, member in zip(spec['checkpoints'], members, strict=True):
        member.replace(target)
    write_json(folder / FINISHED, dict(done=[]))


def shared(spec: dict[str, Any], step: str, *options: str) -> dict[str, Any]:
    """What every run of a fold is told; images were checked once for all folds."""
    name = f'experiment_name={step}_{spec["name"].replace("/", "_")}'  # for its logs
    return dict(amp=spec['amp'], check_data=False, cfg_options=[name, *options])


def root_option(data_root: str | None) -> list[str]:
    """The ``--cfg-options`` text for images that lie elsewhere than those of the config."""
    return [f'test_dataloader.dataset.data_root={data_root}'] if data_root else []
