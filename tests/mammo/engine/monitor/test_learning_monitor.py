"""The learning monitor: its numbers against oracles, and that looking changes nothing."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import RUNNERS
from mmengine.visualization import Visualizer
from mmpretrain.registry import DATASETS, MODELS
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from mammo.engine.launch import adapt_to_cpu
from mammo.engine.monitor.embed import embed
from mammo.engine.monitor.learning import LearningMonitorHook
from mammo.engine.monitor.representation import (
    effective_rank,
    embedding_std,
    knn_predict,
    knn_score,
    linear_probe_score,
)
from mammo.errors import DataError
from tests.support.toy_pretraining import ROOT, load_pretraining, write_pretraining

# --- numbers


def test_std_is_one_over_sqrt_d_on_an_even_sphere_and_0_for_one_point() -> None:
    x = np.random.default_rng(0).normal(size=(20_000, 16))
    assert embedding_std(x) == pytest.approx(16**-0.5, rel=0.01)
    assert embedding_std(np.full((5, 16), 3.0)) == pytest.approx(0, abs=1e-12)


def test_std_by_hand() -> None:
    # unit rows (1, 0) and (0.6, 0.8): standard deviations 0.2 and 0.4
    assert embedding_std(np.array([[5.0, 0.0], [3.0, 4.0]])) == pytest.approx(0.3)


def test_rank_of_orthonormal_rows_is_d_and_of_one_direction_1() -> None:
    assert effective_rank(np.linalg.qr(np.random.default_rng(0).normal(size=(7, 7)))[0]) == pytest.approx(7)
    assert effective_rank(np.outer([1.0, 2.0, 3.0], [1.0, -1.0])) == pytest.approx(1)
    assert effective_rank(np.zeros((3, 2))) == 0


def test_rank_by_hand() -> None:
    # singular values 3 and 1: exp(-(0.75 ln 0.75 + 0.25 ln 0.25))
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(4 / 3**0.75)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3), n=st.integers(2, 12), d=st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_rank_ignores_rotation_scale_and_order(seed: int, scale: float, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    turned = scale * rng.permutation(x) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    assert effective_rank(turned) == pytest.approx(effective_rank(x), rel=1e-6)
    assert 1 <= effective_rank(x) <= min(n, d) + 1e-9
    assert embedding_std(scale * rng.permutation(x)) == pytest.approx(embedding_std(x), rel=1e-6)
    assert embedding_std(x) <= d**-0.5 + 1e-9


def test_knn_equals_scikit_learn_with_each_image_left_out() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 40)
    x = rng.normal(size=(40, 5)) + 0.8 * np.eye(5)[labels]
    expected = [
        KNeighborsClassifier(7, metric='cosine', weights=lambda distance: np.exp((1 - distance) / 0.07))
        .fit(np.delete(x, i, 0), np.delete(labels, i))
        .predict(x[[i]])[0]
        for i in range(40)
    ]
    assert knn_predict(x, labels, np.arange(40), k=7).tolist() == expected
    assert knn_score(x, labels, np.arange(40), k=7) == balanced_accuracy_score(labels, expected)


def test_knn_never_asks_the_other_images_of_a_patient() -> None:
    # two films of each patient are equal, and the nearest other patient has the other class
    x = np.array([[1, 0], [1, 0], [0.9, 0.1], [0.9, 0.1], [0, 1], [0, 1], [0.1, 0.9], [0.1, 0.9]])
    labels = np.array(['F', 'F', 'D', 'D', 'F', 'F', 'D', 'D'])
    assert knn_score(x, labels, list('aabbccdd'), k=2) == 0
    assert knn_score(x, labels, range(8), k=1) == 1


def test_a_vote_across_patients_needs_two() -> None:
    with pytest.raises(ValueError, match='at least 2 of them, got 1'):
        knn_predict(np.eye(2), ['F', 'D'], ['p', 'p'])


def test_probe_finds_a_line_and_does_not_learn_patients_by_heart() -> None:
    patients = np.repeat(np.arange(20), 3)
    labels = patients % 2
    rng = np.random.default_rng(0)
    separable = rng.normal(size=(60, 4)) + 6 * labels[:, None]
    assert linear_probe_score(separable, labels, patients) == 1
    assert linear_probe_score(np.eye(20)[patients], labels, patients) <= 0.6  # who it is tells nothing


def test_probe_is_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 6)), rng.integers(0, 3, 40), np.arange(40)
    assert linear_probe_score(*data) == linear_probe_score(*data)


def test_probe_says_which_class_has_too_few_patients() -> None:
    with pytest.raises(ValueError, match=r"2 classes and 2 groups .* got \{'D': 1, 'F': 2\}"):
        linear_probe_score(np.eye(3), ['F', 'F', 'D'], [0, 1, 2])


# --- looking


def make_model(toy_data: Path, tmp_path: Path, method: str) -> nn.Module:
    cfg = load_pretraining(tmp_path, toy_data, method=method)
    adapt_to_cpu(cfg)
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def held_out(toy_data: Path, *transforms: dict) -> Any:
    pipeline = [dict(type='LoadMammogram'), *transforms, dict(type='MammoPackMultiTaskInputs')]
    return DATASETS.build(
        dict(type='MammoMultiTaskDataset', data_root=str(toy_data), ann_file='test.json', pipeline=pipeline)
    )


@pytest.mark.parametrize('method', ['barlowtwins', 'byol', 'swav'])
def test_looking_embeds_backbone_and_projection_and_changes_nothing(
    toy_data: Path, tmp_path: Path, method: str
) -> None:
    model = make_model(toy_data, tmp_path, method).train()
    model.backbone.frozen_stages = 1
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    dataset = held_out(toy_data, dict(type='RandomResizedCrop', scale=32), dict(type='RandomFlip', prob=0.5))
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first, second = (embed(model, dataset, batch_size=3) for _ in range(2))
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert {name: x.shape for name, x in first.items()} == dict(backbone=(8, 128), projection=(8, 8))
    for name, x in first.items():  # random crops, and yet the same ones
        assert np.array_equal(x, second[name])
    if method == 'swav':
        assert np.linalg.norm(first['projection'], axis=1) == pytest.approx(np.ones(8))


def test_embeddings_are_those_of_each_image_alone(toy_data: Path, tmp_path: Path) -> None:
    model = make_model(toy_data, tmp_path, 'byol')
    dataset = held_out(toy_data, dict(type='Resize', scale=(32, 64)))
    whole, single = embed(model, dataset, 8), embed(model, dataset, 1)
    image = model.data_preprocessor(dict(inputs=dataset[5]['inputs'][None], data_samples=[]))['inputs']
    with torch.no_grad():
        expected = model.eval().neck(model.backbone(image))[0].numpy()[0]
    for embeddings in (whole, single):
        assert embeddings['projection'][5] == pytest.approx(expected, abs=1e-5)


def test_images_of_several_sizes_are_refused(tmp_path: Path, toy_data: Path) -> None:
    model = make_model(toy_data, tmp_path, 'byol')
    dataset = [dict(inputs=torch.zeros(3, 32, side)) for side in (32, 64)]
    with pytest.raises(DataError, match=r'differ in size .*learning_monitor\.dataset; end it with Resize'):
        embed(model, dataset, 2)


# --- the hook in a run


@pytest.fixture
def train(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Config, dict]]:
    """Trains in a folder; the config and the last checkpoint."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))

    def run(folder: str, change: Callable[[Config], Any] = Config.copy) -> tuple[Config, dict]:
        cfg = load_pretraining(tmp_path / folder, toy_data)
        change(cfg)
        RUNNERS.build(cfg).train()
        return cfg, torch.load(tmp_path / folder / f'epoch_{cfg.train_cfg.max_epochs}.pth', weights_only=True)

    return run


def scalars(work_dir: Path) -> list[dict]:
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def monitored(work_dir: Path) -> dict[int, dict]:
    return {line['step']: line for line in scalars(work_dir) if 'monitor/backbone_std' in line}


@pytest.mark.slow
def test_run_logs_the_start_and_each_epoch_and_resumes_to_the_same(train: Callable, tmp_path: Path) -> None:
    _, whole = train('whole')
    looks = monitored(tmp_path / 'whole')
    names = ['backbone_std', 'backbone_rank', 'projection_std', 'projection_rank', 'knn_accuracy']
    assert sorted(looks) == [0, 1, 2]
    assert {f'monitor/{name}' for name in (*names, 'probe_accuracy')} | {'step'} == looks[0].keys()
    (log,) = (tmp_path / 'whole').glob('*/*.log')
    said = [
        line for line in log.read_text().splitlines() if 'monitor, epoch 2, 8 images: backbone std' in line
    ]
    assert len(said) == 1
    for part in ('1/sqrt(128)', 'of at most 8', 'balanced accuracy for N across patients', 'chance 0.500'):
        assert part in said[0]
    history = whole['message_hub']['log_scalars']['monitor/backbone_rank']['values'].tolist()
    assert history == pytest.approx([looks[i]['monitor/backbone_rank'] for i in (0, 1, 2)])

    killed = tmp_path / 'killed'
    killed.mkdir()
    shutil.copy(tmp_path / 'whole' / 'epoch_1.pth', killed)
    (killed / 'last_checkpoint').write_text(str(killed / 'epoch_1.pth'))
    _, resumed = train('killed', lambda cfg: cfg.update(resume=True))
    assert sorted(monitored(killed)) == [2]
    assert monitored(killed)[2] == pytest.approx(looks[2], abs=1e-5)
    for key, value in whole['state_dict'].items():
        assert torch.allclose(value, resumed['state_dict'][key], atol=1e-5), key


def test_weights_and_losses_are_those_of_a_run_without_monitor(train: Callable, tmp_path: Path) -> None:
    def seeded_once(cfg: Config) -> None:  # so that a random number drawn in between would be seen
        del cfg.default_hooks['epoch_seed'], cfg.default_hooks['curves']
        cfg.train_cfg.max_epochs = 1
        pipeline = cfg.default_hooks.learning_monitor.dataset.pipeline
        pipeline.insert(1, dict(type='RandomFlip', prob=0.5))

    def unwatched(cfg: Config) -> None:
        seeded_once(cfg)
        cfg.default_hooks.learning_monitor.dataset.ann_file = ''

    (_, seen), (_, alone) = train('seen', seeded_once), train('alone', unwatched)
    losses = [end['message_hub']['log_scalars']['train/loss']['values'].tolist() for end in (seen, alone)]
    assert losses[0] == losses[1]
    assert all(torch.equal(value, alone['state_dict'][key]) for key, value in seen['state_dict'].items())
    assert sorted(monitored(tmp_path / 'seen')) == [0, 1]
    assert not monitored(tmp_path / 'alone')


def fake_runner(name: str, iteration: int = 0) -> Any:
    hub = MessageHub.get_instance(f'monitor_{name}')
    visualizer = Visualizer(name)
    model = nn.Identity()
    return SimpleNamespace(message_hub=hub, visualizer=visualizer, timestamp='t', iter=iteration, model=model)


def hook_for(data: Path, ann_file: str = 'test.json', **options: Any) -> LearningMonitorHook:
    pipeline = [dict(type='LoadMammogram'), dict(type='MammoPackMultiTaskInputs')]
    dataset = dict(type='MammoMultiTaskDataset', data_root=str(data), ann_file=ann_file, pipeline=pipeline)
    return LearningMonitorHook(dataset=dataset, **options)


@pytest.mark.parametrize('dataset', [None, dict(type='MammoMultiTaskDataset', ann_file='')])
def test_without_a_list_it_is_off_with_one_line(dataset: dict | None, log_lines: list[str]) -> None:
    hook = LearningMonitorHook(dataset=dataset)
    hook.before_train(fake_runner('off'))
    hook.after_train_epoch(fake_runner('off'))
    assert [line for line in log_lines if 'monitor' in line] == [
        'INFO learning monitor: off, default_hooks.learning_monitor.dataset.ann_file names no held-out list'
    ]


def looks_at(
    hook: LearningMonitorHook, embeddings: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the hook judge one given projection per epoch, the first before training."""
    runner = fake_runner(f'looks{id(hook)}')
    hook.labels, hook.groups = None, np.arange(len(embeddings[0]))
    for epoch, x in enumerate(embeddings):
        monkeypatch.setattr('mammo.engine.monitor.learning.embed', lambda *_, x=x: dict(projection=x))
        hook._look(runner, epoch)


def test_collapse_is_warned_of_with_number_bound_and_remedy(
    monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    healthy = np.random.default_rng(0).normal(size=(30, 16))
    collapsed = 1 + 1e-4 * healthy
    looks_at(LearningMonitorHook(), [healthy, healthy, collapsed], monkeypatch)
    warnings = [line for line in log_lines if line.startswith('WARNING')]
    assert len(warnings) == 2
    assert 'collapse: projection_std 2.4e-05 is' in warnings[0]
    assert 'is below 0.0075 and was 0.2' in warnings[0]
    assert 'collapse: projection_rank 1 is below 1.6' in warnings[1]
    assert 'Lower the learning rate' in warnings[0]


def test_random_weights_with_a_narrow_embedding_are_no_collapse(
    monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    spread = np.random.default_rng(0).normal(size=(30, 16))
    looks_at(LearningMonitorHook(), [1 + 1e-3 * spread, 1 + 2e-3 * spread, 1 + spread], monkeypatch)
    assert not [line for line in log_lines if line.startswith('WARNING')]


def test_embedding_that_is_not_finite_is_a_warning_not_a_crash(
    monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    looks_at(LearningMonitorHook(), [np.full((4, 2), np.nan)], monkeypatch)
    assert any(line.startswith('WARNING') and 'holds NaN or infinity' in line for line in log_lines)


def test_text_class_of_an_item_is_a_label_and_missing_ones_are_left_out(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    meta = json.loads((toy_data / 'test.json').read_text())
    for i, item in enumerate(meta['data_list']):
        item['tissue'] = ['F', 'F', 'G', 'G', 'F', 'F', 'G', None][i]
    (toy_data / 'tissue.json').write_text(json.dumps(meta))
    hook = hook_for(toy_data, 'tissue.json', label_field='tissue')
    hook.before_train(fake_runner('tissue', iteration=1))
    assert hook.labels.tolist() == ['F', 'F', 'G', 'G', 'F', 'F', 'G', '']
    x = np.eye(3)[[0, 0, 1, 1, 0, 0, 1, 2]] + 0.01
    assert hook._judge(dict(backbone=x), 0)['monitor/knn_accuracy'] == 1


def test_list_with_class_numbers_needs_no_meta_file(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    (tmp_path / 'classes.txt').write_text(''.join(f'image{i}.png {i // 2}\n' for i in range(6)))
    dataset = dict(
        type='CustomDataset', data_root=str(toy_data), ann_file=str(tmp_path / 'classes.txt'), pipeline=[]
    )
    hook = LearningMonitorHook(dataset=dataset, label_field='gt_label')
    hook.before_train(fake_runner('classes', iteration=1))
    assert hook.labels.tolist() == ['0', '0', '1', '1', '2', '2']
    assert len(set(hook.groups)) == 6  # no patients known: each image by itself


def test_unknown_label_field_names_those_there_are(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    with pytest.raises(DataError, match=r"label_field: 'tisue' has 0 classes, .* have \['LVI', 'N'.*'view'"):
        hook_for(toy_data, label_field='tisue').before_train(fake_runner('unknown'))


def test_missing_held_out_images_are_listed_before_training(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    (toy_data / 'gone.json').write_text('{"data_list": [{"img_path": "x1.png"}, {"img_path": "x2.png"}]}')
    with pytest.raises(DataError, match=r'2 of 2 images cannot be used.*x1\.png.*x2\.png'):
        hook_for(toy_data, 'gone.json').before_train(fake_runner('missing'))


@pytest.mark.slow
def test_two_processes_see_what_one_sees(toy_data: Path, tmp_path: Path) -> None:
    """BYOL on CPU: batch norm is per process, so only the look before training must agree."""
    config = write_pretraining(tmp_path / 'toy.py', toy_data, method='byol')
    env = dict(os.environ, XDG_CACHE_HOME=str(tmp_path), OMP_NUM_THREADS='1')
    env['PATH'] = f'{Path(sys.executable).parent}:{env["PATH"]}'
    options = ['--cfg-options', 'train_dataloader.batch_size=5']
    for command in (
        ['python', 'tools/train.py', str(config)],
        ['bash', 'tools/dist_train.sh', str(config), '2'],
    ):
        command += ['--work-dir', str(tmp_path / command[0]), *options]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = monitored(tmp_path / 'python'), monitored(tmp_path / 'bash')
    assert sorted(one) == sorted(two) == [0, 1, 2]
    assert two[0] == pytest.approx(one[0], abs=1e-6)


def test_class_of_one_patient_is_refused_before_training(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    meta = json.loads((toy_data / 'test.json').read_text())
    for i, item in enumerate(meta['data_list']):
        item['site'] = 'AB'[i // 6]
    (toy_data / 'site.json').write_text(json.dumps(meta))
    with pytest.raises(
        DataError, match=r"'site' has 2 classes, with patients \{'A': 3, 'B': 1\}, expected 2"
    ):
        hook_for(toy_data, 'site.json', label_field='site').before_train(fake_runner('site'))
