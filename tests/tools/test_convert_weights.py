"""tools/convert_weights.py as users call it, and safetensors files as start weights."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torchvision.models import resnet50

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/backbones/resnet50_stride16_transformer.py'


def started(checkpoint: Path, prefix: str | None) -> dict[str, torch.Tensor]:
    """Weights of the config's backbone after it has started from a checkpoint."""
    start = dict(type='Pretrained', checkpoint=str(checkpoint), prefix=prefix)
    backbone = MODELS.build({**Config.fromfile(CONFIG).model.backbone, 'init_cfg': start})
    backbone.init_weights()
    return backbone.state_dict()


@pytest.fixture(scope='module')
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return resnet50().state_dict()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_network_starts_from_converted_weights(
    suffix: str, state: dict, tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    file, out = tmp_path / f'resnet50{suffix}', tmp_path / 'start.pth'
    if suffix == '.pth':
        torch.save(dict(model={f'module.{key}': value for key, value in state.items()}), file)
    else:
        safetensors.torch.save_file(state, file)
    call('convert_weights.py', CONFIG, file, '--source', 'torchvision-resnet', '--out', out)
    report = capsys.readouterr().out
    assert '215 of 215 tensors filled' in report
    assert '52 of the file unused' in report  # the fourth stage and the classifier
    for key, value in started(out, 'backbone').items():
        if 'num_batches_tracked' not in key:
            torch.testing.assert_close(value, state[key])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('leaf', 'source', 'name'),
    [
        ('convnext_tiny', 'timm-convnext', 'convnext_tiny'),
        ('swin_tiny', 'timm-swin', 'swin_tiny_patch4_window7_224'),
        ('vit_small_dinov2', 'dino-vit', 'vit_small_patch14_dinov2'),
        ('timm_regnety', 'timm', 'regnety_032'),
        ('resnet50_stride16', 'same', 'resnet50'),
    ],
)
def test_each_backbone_starts_whole_from_weights_of_its_source(
    leaf: str, source: str, name: str, tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    theirs = pytest.importorskip('timm').create_model(name).state_dict()
    torch.save(dict(state_dict={f'module.{key}': value for key, value in theirs.items()}), tmp_path / 'a.pth')
    config = ROOT / f'configs/backbones/{leaf}_gap.py'
    call('convert_weights.py', config, tmp_path / 'a.pth', '--source', source, '--out', tmp_path / 'b.pth')
    report = capsys.readouterr().out
    assert 'another shape' not in report
    assert all('relative_position_index' in line for line in report.splitlines() if 'start fresh' in line)


def test_a_training_state_is_opened_if_it_is_trusted_and_gives_its_teacher(
    state: dict, tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    """As DINO leaves it, with its arguments as an object."""
    file, out = tmp_path / 'dino.pth', tmp_path / 'start.pth'
    teacher = {f'module.backbone.{key}': value for key, value in state.items()}
    student = {key: torch.zeros_like(value) for key, value in teacher.items()}
    torch.save(dict(student=student, teacher=teacher, args=argparse.Namespace(lr=0.1)), file)
    command = ['convert_weights.py', CONFIG, file, '--source', 'torchvision-resnet', '--out', out]
    with pytest.raises(SystemExit):
        call(*command)
    assert 'open it with --trust-checkpoint' in capsys.readouterr().err
    call(*command, '--trust-checkpoint')
    torch.testing.assert_close(started(out, 'backbone')['conv1.weight'], state['conv1.weight'])


def test_init_cfg_takes_a_safetensors_file(state: dict, tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / 'resnet50.safetensors')
    loaded = started(tmp_path / 'resnet50.safetensors', None)
    torch.testing.assert_close(loaded['layer3.5.conv3.weight'], state['layer3.5.conv3.weight'])


def test_weights_of_another_network_are_refused(
    tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    torch.save(dict(other=torch.zeros(3)), tmp_path / 'other.pth')
    with pytest.raises(SystemExit):
        call('convert_weights.py', CONFIG, tmp_path / 'other.pth', '--source', 'dino-vit', '--out',
             tmp_path / 'out.pth')  # fmt: skip
    assert 'none of its weights fits model.backbone' in capsys.readouterr().err
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.real_data
def test_real_weights_of_imagenet(
    real_data: Path, tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    (file,) = (real_data / 'imagenet_resnet50').glob('*.safetensors')
    call('convert_weights.py', CONFIG, file, '--source', 'torchvision-resnet', '--out', tmp_path / 'out.pth')
    assert 'start fresh' not in capsys.readouterr().out
    values = started(tmp_path / 'out.pth', 'backbone')
    assert values['conv1.weight'].std() > 0.05
