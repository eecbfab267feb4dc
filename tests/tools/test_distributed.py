"""Several processes give what one process gives."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / 'tests/support'
Alone = Callable[..., None]

CONFIG = """
_base_ = '{root}/configs/demo/full_breast_224x128_transformer.py'
custom_imports = dict(imports=['models', 'dataset', 'mammo.engine', 'no_dropout'])
custom_hooks = [dict(type='NoDropoutHook')]
pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(64, 96)),
    dict(type='MammoPackMultiTaskInputs'),
]
model = dict(
    backbone=dict(stem_channels=8, base_channels=8, frozen_stages=4),
    neck=dict(in_dims=128, map_size=(3, 2)),
)
optim_wrapper = dict(clip_grad=dict(max_norm=0.5))
train_cfg = dict(max_epochs=3)
default_hooks = dict(logger=dict(interval=1))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=10, dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
val_dataloader = dict(batch_size=3, dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
test_dataloader = dict(batch_size=3, dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
"""


def run(*command: str) -> None:
    env = dict(
        os.environ,
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        PYTHONPATH=str(SUPPORT),
    )
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def scalars(work_dir: Path) -> list[dict]:
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope='module')
def alone(call: Alone) -> Iterator[Alone]:
    """Runs a command of tools/ in one process, which is this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SUPPORT)
        yield call


@pytest.fixture(scope='module')
def work_dirs(toy_data: Path, tmp_path_factory: pytest.TempPathFactory, alone: Alone) -> dict[int, Path]:
    """Work dirs of a run with one process of batch 10 and of one with two processes of batch 5."""
    folder = tmp_path_factory.mktemp('distributed')
    config = folder / 'config.py'
    config.write_text(CONFIG.format(root=ROOT, data=toy_data))
    alone('train.py', config, '--work-dir', folder / '1')
    run(
        'bash', 'tools/dist_train.sh', str(config), '2', '--work-dir', str(folder / '2'),
        '--cfg-options', 'train_dataloader.batch_size=5',
    )  # fmt: skip
    return {1: folder / '1', 2: folder / '2'}


def test_two_processes_follow_one_in_loss(work_dirs: dict[int, Path]) -> None:
    one, two = (scalars(work_dirs[n]) for n in (1, 2))
    assert len(one) == len(two) == 9  # 3 epochs of 2 iterations and 1 validation
    for a, b in zip(one, two, strict=True):
        losses = {key: value for key, value in a.items() if 'loss' in key and value is not None}
        assert len(losses) >= 4
        assert {key: b[key] for key in losses} == pytest.approx(losses, abs=1e-5)


def test_two_processes_follow_one_in_weights(work_dirs: dict[int, Path]) -> None:
    one, two = (torch.load(work_dirs[n] / 'epoch_3.pth', weights_only=True)['state_dict'] for n in (1, 2))
    assert one.keys() == two.keys()
    for key in one:
        torch.testing.assert_close(two[key], one[key], atol=1e-5, rtol=0)


def test_a_task_without_labels_on_one_rank_is_averaged_over_all_labels(toy_data: Path) -> None:
    """LVI is missing in every third sample, so that ranks hold different counts; see the two tests above."""
    items = json.loads((toy_data / 'train.json').read_text())['data_list']
    labelled = [('LVI' in item['gt_label']) for item in items]
    assert sum(labelled[0::2]) != sum(labelled[1::2])


def test_metrics_on_two_processes_equal_those_on_one(
    work_dirs: dict[int, Path], toy_data: Path, alone: Alone
) -> None:
    """Seven images, so that the sampler of two processes pads; only rank 0 has labels of LVI."""
    meta = json.loads((toy_data / 'test.json').read_text())
    meta['data_list'] = meta['data_list'][:7]
    for i, item in enumerate(meta['data_list']):
        item['gt_label'] = (
            {**item['gt_label'], 'LVI': i // 2 % 2} if i % 2 == 0 else {'N': item['gt_label']['N']}
        )
    folder = work_dirs[1].parent
    (folder / 'odd.json').write_text(json.dumps(meta))
    target = [str(folder / 'config.py'), str(work_dirs[1] / 'epoch_3.pth')]
    options = [
        '--out-item',
        'metrics',
        '--cfg-options',
        f'test_dataloader.dataset.ann_file={folder}/odd.json',
    ]
    alone('test.py', *target, '--work-dir', folder, '--out', f'{folder}/a/1.json', *options)
    run(
        'bash',
        'tools/dist_test.sh',
        *target,
        '2',
        '--work-dir',
        str(folder),
        '--out',
        f'{folder}/a/2.json',
        *options,
    )
    one, two = (json.loads((folder / f'a/{n}.json').read_text()) for n in (1, 2))
    assert one['LVI_roc_auc'] is not None
    assert one['multifocality_loss'] is None
    known = {key: value for key, value in one.items() if value is not None}
    assert two == {**one, **{key: pytest.approx(value, abs=1e-6, rel=1e-6) for key, value in known.items()}}
