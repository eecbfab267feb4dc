"""Files with a payload: whoever unpickles, evaluates or renders them, instead of reading them, runs it.

kind, path, marker -> file that would create the marker; the commands that are to read it
"""

import functools
import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch


class Call:
    """Is pickled as a call, which unpickling makes."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call

    def __call__(self) -> None:
        """Pickle takes only what is callable as the function of a call."""


def touch(marker: Path) -> Call:
    return Call(os.system, f'touch {marker}')


def code(marker: Path) -> str:
    return f'open({str(marker)!r}, "w").close()\n'


def attribute_chain(marker: Path) -> Call:
    return Call(Call(getattr, Call(__import__, 'os'), 'system'), f'touch {marker}')


def second_file(path: Path, marker: Path) -> Call:
    """torch.load of a file beside this one, whose payload is a plain pickle.

    The unsafe call is the attacker's, written into the file; nothing here makes it.
    """
    inner = path.with_suffix('.inner')
    inner.write_bytes(pickle.dumps(touch(marker), protocol=2))
    return Call(functools.partial(torch.load, weights_only=False), str(inner))


def save_in(key: str | None, make: Callable[[Path, Path], Any], **options: Any) -> Callable:
    """Writer of a checkpoint whose entry ``key`` gets one value more."""

    def write(path: Path, marker: Path, content: dict) -> None:
        extra = dict(extra=make(path, marker))
        torch.save(content | ({key: {**content.get(key, {}), **extra}} if key else extra), path, **options)

    return write


def save_tar(path: Path, marker: Path, _: dict) -> None:
    """The format of torch before 0.1.10."""
    with tarfile.open(path, 'w') as tar:
        for name, values in dict(storages=[0, []], tensors=[0], pickle=[touch(marker)]).items():
            data = b''.join(pickle.dumps(value, protocol=2) for value in values)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def save_config_text(path: Path, marker: Path, content: dict) -> None:
    """Passes weights_only; mmengine runs this text when it resumes."""
    torch.save(content | dict(meta={**content['meta'], 'config': code(marker)}), path)


def save_markup(path: Path, marker: Path, _: dict) -> None:
    """Predictions whose ids and groups are HTML; the marker stands in them."""
    tag = f'<img src=x onerror="{marker}"><script>{marker}</script>'
    task = dict(logit=0.1, pred_score=0.5)
    records = [
        dict(img_path=f'{tag}{i}.png', patient_id=f'{tag}{i}', exam_id='1', view='CC', laterality='L',
             cohort=f'{tag}{i // 20}', tasks={'N': task | dict(pred_score=i / 40, gt_label=i % 2)})
        for i in range(40)
    ]  # fmt: skip
    path.write_text(json.dumps(dict(format_version=1, records=records)))


def evil_array(marker: Path) -> np.ndarray:
    return np.array([touch(marker)], object)


CHECKPOINT_KINDS: dict[str, Callable[[Path, Path, dict], Any]] = {
    'pth: os.system': save_in(None, lambda _, m: touch(m)),
    'pth: eval in the message hub': save_in('message_hub', lambda _, m: Call(eval, code(m).strip())),
    'pth: exec in the optimizer state': save_in('optimizer', lambda _, m: Call(exec, code(m))),
    'pth: chain of getattr': save_in(None, lambda _, m: attribute_chain(m)),
    'pth: object array': save_in('state_dict', lambda _, m: evil_array(m)),
    'pth: torch.load of a second file': save_in(None, second_file),
    'pth, legacy': save_in(None, lambda _, m: touch(m), _use_new_zipfile_serialization=False),
    'pth, tar': save_tar,
    'pth, bare pickle': lambda p, m, _: p.write_bytes(pickle.dumps(dict(state_dict=touch(m)), 4)),
    'pth, joblib': lambda p, m, _: joblib.dump([np.arange(9), touch(m)], p),
}
OTHER_KINDS: dict[str, tuple[str, Callable[[Path, Path, dict], Any]]] = {
    'config text in a checkpoint': ('epoch_1.pth', save_config_text),
    'predictions .pkl': ('a.pkl', lambda p, m, _: p.write_bytes(pickle.dumps([touch(m)], 4))),
    'predictions .pkl, protocol 0': ('b.pkl', lambda p, m, _: p.write_bytes(pickle.dumps(touch(m), 0))),
    'features .npz': ('f.npz', lambda p, m, _: np.savez(p, format_version=evil_array(m))),
    'fusion set .npy': ('train_fortnr.npy', lambda p, m, _: np.save(p, evil_array(m), allow_pickle=True)),
    'pickle as meta file': ('meta.pkl', lambda p, m, _: p.write_bytes(pickle.dumps(touch(m), 0))),
    'clinical schema .yaml': (
        'schema.yaml',
        lambda p, m, _: p.write_text(f'variables: !!python/object/apply:os.system ["touch {m}"]\n'),
    ),
    'HTML in patient ids': ('ids.json', save_markup),
}

HARMLESS = ('config text in a checkpoint', 'HTML in patient ids')  # are not refused: nothing runs them


def commands(kind: str, path: Path, config: Path, checkpoint: Path) -> Iterator[list[str]]:
    """Command lines that read the file of a kind; their results go below its folder."""
    out, cfg = str(path.parent / 'out'), str(config)
    options = ['--work-dir', out, '--cfg-options']
    if kind in CHECKPOINT_KINDS:
        file = str(path)
        yield ['tools/test.py', cfg, file, '--work-dir', out]
        yield ['tools/train.py', cfg, '--resume', file, '--work-dir', out]
        yield ['tools/train.py', cfg, *options, f'load_from={file}']
        start = 'model.init_cfg'
        yield ['tools/train.py', cfg, *options, f'{start}.type=Pretrained', f'{start}.checkpoint={file}']
        yield ['tools/extract_features.py', cfg, file, '--out', f'{out}/f.npz', '--work-dir', out]
        yield ['tools/attention_maps.py', cfg, file, '--out-dir', out, '--work-dir', out]
        yield ['mlp.py', '--data-root', out, '--work-dir', out, '--mode', 'mammo-only', '--test', file]
    elif kind.startswith('predictions'):
        yield ['tools/evaluate.py', '--pred', f'A={path}', '--task', 'N', '--out-dir', out]
    elif kind == 'HTML in patient ids':
        script = ['tools/evaluate.py', '--pred', f'<script>{path}</script>={path}', '--task', 'N']
        yield [*script, '--out-dir', out, '--subgroup', 'cohort', '--bootstrap', '100']
    elif kind == 'config text in a checkpoint':
        yield ['tools/train.py', cfg, '--resume', str(path), '--work-dir', out]
    elif kind == 'pickle as meta file':
        key = 'test_dataloader.dataset.ann_file'
        yield ['tools/test.py', cfg, str(checkpoint), *options, f'{key}={path}']
    elif kind == 'fusion set .npy':
        yield ['mlp.py', '--data-root', str(path.parent), '--work-dir', out, '--mode', 'mammo-only']
    else:
        yield from _fusion_command(path, out)


def _fusion_command(path: Path, out: str) -> Iterator[list[str]]:
    folder = path.parent
    (folder / 'clinical.csv').write_text('patient_id,age\np1,50\n')
    age = '{name: age, column: age, kind: continuous, unit: years, range: [0, 120]}'
    (folder / 'good.yaml').write_text(f'patient_id: patient_id\nvariables: [{age}]\n')
    schema, features = (folder / 'good.yaml', path) if path.suffix == '.npz' else (path, folder / 'none.npz')
    options = ['--features', str(features), '--splits', str(folder), '--label', 'N', '--out-dir', out]
    yield ['tools/build_fusion.py', '--clinical', f'{folder}/clinical.csv', '--schema', str(schema), *options]
