"""The work of one fold, in a process of its own: train, choose, test, extract features, fuse.

spec (see plan.py) -> checkpoints/, predictions_*.json, features*.npz, fusion/, and fold.json last
"""

import contextlib
import fcntl
import gc
import hashlib
import os
import runpy
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mammo.crossval.state import CACHE, FINISHED, LOCK, finished, read_json, write_state
from mammo.engine.checkpoint import load_from_file
from mammo.errors import DataError
from mammo.records.files import sha256_of, write_json
from mammo.records.folds import PARTS
from mammo.records.meta import read_meta, write_meta

ROOT = Path(__file__).resolve().parents[2]
FUSION = [(mode, model) for model in ('mlp', 'logistic') for mode in ('clinical-mammo', 'clinical-only')]


def run_steps(spec: dict[str, Any]) -> None:
    """Do what is not yet done; a step whose last file is there is done."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(spec['folder'])
    with _alone(folder):
        if finished(spec):
            return
        if spec['name'] == CACHE:
            _cache(spec, folder)
            return
        own = spec | dict(config=spec.get('fold_config', spec['config']))
        trained = _train(own, folder)
        checkpoint = folder / trained['checkpoint']
        parts = {part: f'{spec["metas"]}/{part}.json' for part in PARTS}
        _test(own, checkpoint, folder / 'predictions_val.json', parts['val'])
        _test(own, checkpoint, folder / 'predictions_test.json', parts['test'])
        _extract(own, checkpoint, folder / 'features.npz', list(parts.values()))
        for name, site in spec['external'].items():
            root = site['data_root']
            if not site['together']:
                _test(spec, checkpoint, folder / f'predictions_external_{name}.json', site['meta'], root)
            if site['fusion']:
                _extract(spec, checkpoint, folder / f'features_external_{name}.npz', [site['meta']], root)
        if spec['fusion']:
            _fuse(spec, folder)
        write_json(folder / FINISHED, trained | dict(done=spec['wanted']))


def best_checkpoint(work_dir: Path) -> Path:
    """The checkpoint that validation chose; if a kill left several, the one that the last one names.

    Raises:
        DataError: there is none.
    """
    found = sorted(work_dir.glob('best_*.pth'))
    if len(found) > 1:
        last = (work_dir / 'last_checkpoint').read_text().strip()
        named = load_from_file(last)['message_hub']['runtime_info'].get('best_ckpt')
        found = [path for path in found if named and path.name == Path(named).name] or found[-1:]
    if not found:
        raise DataError(f'{work_dir}: no best_*.pth; the config needs validation and save_best')
    return found[0]


def _cache(spec: dict[str, Any], folder: Path) -> None:
    """Maps of the frozen backbone for all images of the folds, in any part of which they may be."""
    write_state(folder, 'maps')
    metas = [read_meta(path) for path in sorted(Path(spec['metas']).glob('*/*/*.json')) if path.stem in PARTS]
    items = {item['img_path']: item | dict(gt_label={}) for meta in metas for item in meta['data_list']}
    tasks = dict.fromkeys(task for meta in metas for task in meta['metainfo']['tasks'])
    images = folder / 'images.json'
    write_meta(images, list(items.values()), list(tasks))
    arguments = ('--views', spec['views'], '--out', folder, '--ann-file', images)
    _tool('cache_features.py', spec, *arguments, options=[])
    write_json(folder / FINISHED, dict(done=[], views=spec['views'], images=len(items)))


def _train(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train, or go on training -> what is known of the best checkpoint."""
    done = folder / 'trained.json'
    if not done.is_file():
        write_state(folder, 'train')
        files = [f'{part}_dataloader.dataset.ann_file={spec["metas"]}/{part}.json' for part in PARTS]
        _tool('train.py', spec, '--work-dir', folder / 'checkpoints', '--resume', options=files)
        best = best_checkpoint(folder / 'checkpoints')
        state = load_from_file(str(best))['state_dict']
        backbone = hashlib.sha256()
        for name in sorted(name for name in state if name.startswith('backbone.')):
            backbone.update(name.encode() + state[name].cpu().numpy().tobytes())
        name = str(best.relative_to(folder))
        write_json(done, dict(checkpoint=name, sha256=sha256_of(best), backbone_sha256=backbone.hexdigest()))
        gc.collect()  # the training's model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return read_json(done)


def _test(spec: dict[str, Any], checkpoint: Path, out: Path, meta: str, data_root: str | None = None) -> None:
    if not out.is_file():
        write_state(out.parent, 'test')
        data = [f'test_dataloader.dataset.ann_file={meta}', *_root(data_root)]
        _tool('test.py', spec, checkpoint, '--work-dir', out.parent / 'test', '--out', out, options=data)


def _extract(
    spec: dict[str, Any], checkpoint: Path, out: Path, metas: list[str], data_root: str | None = None
) -> None:
    if not out.is_file():
        write_state(out.parent, 'features')
        arguments = (checkpoint, '--work-dir', out.parent / 'test', '--out', out, '--ann-file', *metas)
        _tool('extract_features.py', spec, *arguments, options=_root(data_root))


def _fuse(spec: dict[str, Any], folder: Path) -> None:
    """Encoders are fitted on train, models are stopped by val, test and external sets are only scored."""
    write_state(folder, 'fusion')
    data, fusion = folder / 'fusion' / 'data', spec['fusion']
    common = ['--clinical', fusion['clinical'], '--label', fusion['label']]
    if not (data / 'schema.json').is_file():
        inputs = ['--schema', fusion['schema'], '--features', folder / 'features.npz']
        _run('build_fusion.py', *common, *inputs, '--splits', spec['metas'], '--out-dir', data)
    external = {name: site for name, site in spec['external'].items() if site['fusion']}
    for name, site in external.items():
        splits = folder / 'fusion' / f'meta_{name}'
        splits.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site['meta'], splits / 'test.json')
        inputs = ['--fitted', data / 'schema.json', '--features', folder / f'features_external_{name}.npz']
        _run('build_fusion.py', *common, *inputs, '--splits', splits, '--out-dir', folder / 'fusion' / name)
    for mode, model in FUSION:
        out = folder / 'fusion' / f'{mode}_{model}'
        if not (out / 'checkpoint.pth').is_file():
            _run('../mlp.py', '--data-root', data, '--mode', mode, '--model', model, '--work-dir', out)
        for name in external:
            target = ['--data-root', folder / 'fusion' / name, '--work-dir', out / f'external_{name}']
            _run('../mlp.py', *target, '--mode', mode, '--test', out / 'checkpoint.pth')


def _root(data_root: str | None) -> list[str]:
    return [f'test_dataloader.dataset.data_root={data_root}'] if data_root else []


def _tool(name: str, spec: dict[str, Any], *arguments: Any, options: list[str]) -> None:
    """A tool that takes a config, with a name of its own for its logs."""
    experiment = f'experiment_name={Path(name).stem}_{spec["name"].replace("/", "_")}'
    flags = ['--amp'] if spec['amp'] else []
    flags += ['--no-check-data'] if spec['config'] == spec.get('fold_config') else []  # maps are read only
    _run(name, spec['config'], *arguments, *flags, '--cfg-options', experiment, *options)


def _run(name: str, *arguments: Any) -> None:
    """Run a tool in this process, as its command line would."""
    path = (ROOT / 'tools' / name).resolve()
    sys.argv = [str(path), *map(str, arguments)]
    try:
        runpy.run_path(str(path), run_name='__main__')
    except SystemExit as end:
        if end.code:
            raise


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process works on this fold; the system frees the lock of one that was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open('w') as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.2)
        yield


def _end_with_parent() -> None:
    """Standard input is a pipe that the parent never writes to: it ends when the parent does."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # this process and its dataloader workers
