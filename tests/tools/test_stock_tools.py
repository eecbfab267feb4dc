"""Tools and interfaces of the framework on our configs and checkpoints, as its users call them."""

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain import FeatureExtractor, ImageClassificationInferencer, get_model

from tests.support.toy_config import write_config

STOCK = Path(mmpretrain.__file__).parent / '.mim/tools'


@pytest.fixture(scope='module')
def config(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp('stock') / 'config.py', toy_data)


@pytest.fixture(scope='module')
def checkpoint(config: Path) -> Path:
    """Weights at random."""
    torch.manual_seed(0)
    path = config.with_name('model.pth')
    torch.save(dict(state_dict=get_model(str(config), device='cpu').state_dict(), meta=dict(epoch=1)), path)
    return path


@pytest.fixture(scope='module')
def records(config: Path, checkpoint: Path, call: Callable) -> dict[str, dict]:
    """Predictions of our own command by image."""
    out = config.with_name('p.json')
    call('test.py', config, checkpoint, '--work-dir', config.parent, '--out', out)
    return {record['img_path']: record['tasks'] for record in json.loads(out.read_text())['records']}


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Runs a tool of the framework in this process, with its arguments."""

    def run(tool: str, *arguments: str | Path) -> None:
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        runpy.run_path(str(STOCK / tool), run_name='__main__')

    yield run
    init_default_scope('mammo')


def test_inferencer_gives_a_dict_by_task_with_the_numbers_of_a_test(
    config: Path, checkpoint: Path, records: dict[str, dict], toy_data: Path, tmp_path: Path
) -> None:
    inferencer = ImageClassificationInferencer(str(config), pretrained=str(checkpoint), device='cpu')
    names = list(records)[:3]
    answers = inferencer([str(toy_data / name) for name in names], batch_size=2, show_dir=str(tmp_path))
    for name, answer in zip(names, answers, strict=True):
        assert list(answer) == ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
        for task, values in records[name].items():
            assert answer[task] == pytest.approx({k: values[k] for k in ('logit', 'pred_score')}, abs=1e-5)
        image = cv2.imread(str(toy_data / name))
        drawn = cv2.imread(str(tmp_path / name))
        assert (drawn != image).any()  # the predictions are written on it


def test_inferencer_still_gives_what_it_gave_of_stock_models() -> None:
    model = get_model(mmpretrain.ModelHub.get('resnet18_8xb32_in1k').config, pretrained=False, device='cpu')
    (answer,) = ImageClassificationInferencer(model)(np.zeros((64, 64, 3), np.uint8))
    assert {'pred_scores', 'pred_label', 'pred_score'} <= set(answer)


def test_feature_extractor_gives_each_stage(config: Path, checkpoint: Path, toy_data: Path) -> None:
    extractor = FeatureExtractor(str(config), pretrained=str(checkpoint), device='cpu')
    image = str(toy_data / 'image0.png')
    assert extractor(image, stage='backbone')[0][-1].shape == (128, 3, 2)
    assert extractor(image, stage='neck')[0][-1].shape == (5,)
    assert extractor(image, stage='pre_logits')[0].shape == (5,)


def test_a_published_checkpoint_tests_as_its_original(
    config: Path, checkpoint: Path, records: dict[str, dict], tmp_path: Path, stock: Callable, call: Callable
) -> None:
    stock('model_converters/publish_model.py', checkpoint, tmp_path / 'out.pth')
    (published,) = tmp_path.glob('out_*.pth')
    call('test.py', config, published, '--work-dir', tmp_path, '--out', tmp_path / 'p.json')
    again = json.loads((tmp_path / 'p.json').read_text())['records']
    assert {record['img_path']: record['tasks'] for record in again} == records


def test_browse_dataset_shows_augmented_images(config: Path, tmp_path: Path, stock: Callable) -> None:
    demo = config.with_name('augmented.py')
    demo.write_text(
        "_base_ = './config.py'\n"
        'policies = [dict(type="Equalize", prob=1.0), dict(type="AutoContrast", prob=1.0)]\n'
        'load, resize, pack = _base_.pipeline\n'
        'train_dataloader = dict(dataset=dict(pipeline=[load, resize, *policies, pack]))\n'
    )
    stock('visualization/browse_dataset.py', demo, '--not-show', '-n', '2', '-m', 'original', '-c', 'RGB',
          '-o', tmp_path)  # fmt: skip
    assert len([*tmp_path.glob('*.png')]) == 2


def test_a_network_as_tensors_gives_a_column_per_task(config: Path, checkpoint: Path) -> None:
    model = get_model(str(config), pretrained=str(checkpoint), device='cpu')
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        outputs, expected = model(images), model.head(model.extract_feat(images))
    assert outputs.tolist() == torch.stack([*expected.values()], dim=1).tolist()


def test_hooks_on_layers_fire_also_where_the_backbone_is_frozen(config: Path, checkpoint: Path) -> None:
    model = get_model(str(config), pretrained=str(checkpoint), device='cpu').requires_grad_(False)
    images, seen = torch.randn(1, 3, 96, 64), []
    expected = model(images)  # folded
    model.backbone.block4[-1].bn3.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    torch.testing.assert_close(model(images), expected, atol=1e-4, rtol=1e-4)
    assert len(seen) == 1


@pytest.mark.parametrize('task', ['0', '4'])
def test_class_activation_maps_are_drawn(
    config: Path, checkpoint: Path, toy_data: Path, tmp_path: Path, stock: Callable, task: str
) -> None:
    pytest.importorskip('pytorch_grad_cam')
    stock('visualization/vis_cam.py', toy_data / 'image0.png', config, checkpoint, '--device', 'cpu',
          '--target-category', task, '--save-path', tmp_path / 'cam.png')  # fmt: skip
    assert cv2.imread(str(tmp_path / 'cam.png')).shape == (96, 64, 3)
